/* The named pipes of one SMB connection on which a call of DCE/RPC has begun. */
#ifndef SENSOR_SMB_PIPES_H
#define SENSOR_SMB_PIPES_H

#include "sensor/framed.h"

#define SMB_PIPES_MAX 8 /* on which a PDU waits for its rest at one time; the one written to longest ago goes */

struct smb_pipes {
	uint64_t writes;
	struct smb_pipe {
		uint64_t touched; /* count of writes; 0: the place is free */
		uint8_t fid[16];
		struct framed calls;
	} pipe[SMB_PIPES_MAX];
};

/* The next n bytes (1 or more) of what a client writes to the file fid. Files tell themselves from pipes
 * by their bytes. False: this write is none to a pipe, or cannot be read: the rest of it need not be shown. */
bool smb_pipe_write(struct inspect *in, struct smb_pipes *s, const uint8_t fid[static 16], const uint8_t *p, size_t n);
/* What was written to fid has a hole, or the server gives the name anew. */
void smb_pipe_forget(struct inspect *in, struct smb_pipes *s, const uint8_t fid[static 16]);
void smb_pipes_drop(struct inspect *in, struct smb_pipes *s);

#endif
