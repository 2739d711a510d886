/* The open files of one SMB connection and the requests that wait for their
 * answers: what smb1.c and smb2.c share. */
#ifndef SENSOR_SMB_FILES_H
#define SENSOR_SMB_FILES_H

#include "sensor/file.h"
#include "sensor/inspect.h"
#include "sensor/smb_pipes.h"

#define SMB_OPENS_MAX    64   /* files open at one time; the one used longest ago goes */
#define SMB_REQUESTS_MAX 128  /* requests that wait for their answer; a power of two */
#define SMB_NAME_MAX     2048 /* bytes of a name on the wire; longer ones are counted and left out */
#define SMB_NAME_SHOWN   256  /* kept of an open file's name, for the alert on its digest */

enum smb_direction { SMB_READ = 0, SMB_WRITE };

/* A file as a client opened it; lives in in->mem. It is only kept while the rule
 * set asks for digests. */
struct smb_open {
	struct smb_open *next;
	uint32_t serial; /* never 0 */
	uint8_t fid[16];
	bool known;     /* fid is that of the server's answer */
	bool closed;    /* by the client, while READs wait */
	bool assumed;   /* a request was about this fid before its CREATE was answered, or without any */
	uint32_t reads; /* READ requests that wait for their answer */
	uint64_t size;  /* 0: not known, or a pipe */
	struct smb_transfer {
		struct file *file; /* NULL: nothing is hashed */
		uint64_t at;       /* the next byte's offset */
		uint64_t old;      /* bytes of this run that were seen before */
	} transfer[2];
	uint16_t name_n;
	char name[SMB_NAME_SHOWN];
};

struct smb_request {
	uint64_t id;
	uint64_t offset;  /* READ */
	uint32_t open;    /* its serial */
	uint16_t command; /* + 1; 0: the slot is free */
};

struct smb_files {
	struct smb_open *first; /* the one used last */
	uint32_t opens, serial;
	uint32_t chained;   /* the open file that the requests of a chain are about (SMB2) */
	struct bytes shown; /* the name that an observable belongs to; borrowed for that moment */
	struct smb_request request[SMB_REQUESTS_MAX];
	struct smb_pipes pipes;
};

/* A name was asked for: reports it, and what stands behind its last separator. */
void smb_name(struct inspect *in, struct smb_files *f, struct bytes wire, bool unicode);

/* wire may be empty. NULL: no digest is wanted, or memory is short (counted). */
struct smb_open *smb_open_begin(struct inspect *in, struct smb_files *f, struct bytes wire, bool unicode);
/* The two directions are two streams: with a hole in the server's, a READ is seen
 * before the answer that names its file, and a CLOSE before the bytes that were
 * read. So a file that is assumed becomes the one that is answered, and one that is
 * closed while READs wait is kept until its CLOSE is answered. o may go away. */
void smb_open_answer(struct inspect *in, struct smb_files *f, struct smb_open *o, const uint8_t fid[static 16],
		     uint64_t size);
struct smb_open *smb_open_assume(struct inspect *in, struct smb_files *f, const uint8_t fid[static 16]);
struct smb_open *smb_open_find(struct smb_files *f, const uint8_t fid[static 16]);
struct smb_open *smb_open_serial(struct smb_files *f, uint32_t serial);
/* The client closes it, in a request with this id and command: the bytes that passed from
 * its beginning on are its digest. o may be NULL. */
void smb_open_close(struct inspect *in, struct smb_files *f, struct smb_open *o, uint64_t id, uint16_t command);
void smb_open_closed(struct inspect *in, struct smb_files *f, uint64_t id, uint16_t command);
/* The server refused to open it. o may be NULL. */
void smb_open_refused(struct inspect *in, struct smb_files *f, struct smb_open *o);

void smb_request_put(struct inspect *in, struct smb_files *f, uint64_t id, uint16_t command, uint32_t open,
		     uint64_t offset);
/* False: no such request. keep: its final answer is still to come. */
bool smb_request_take(struct smb_files *f, uint64_t id, uint16_t command, bool keep, struct smb_request *out);

/* A run of bytes begins at offset (UINT64_MAX: where the last one ended). */
void smb_transfer_begin(struct inspect *in, struct smb_files *f, struct smb_open *o, enum smb_direction d,
			uint64_t offset);
void smb_transfer_data(struct inspect *in, struct smb_files *f, struct smb_open *o, enum smb_direction d,
		       const uint8_t *p, size_t n);
void smb_transfer_cut(struct inspect *in, struct smb_files *f, struct smb_open *o, enum smb_direction d);

void smb_files_end(struct inspect *in, struct smb_files *f);  /* the connection ended: what is open was cut */
void smb_files_drop(struct inspect *in, struct smb_files *f); /* without a word */

#endif
