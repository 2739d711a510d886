/* SMB 2 and 3 messages ([MS-SMB2]). */
#ifndef SENSOR_SMB2_H
#define SENSOR_SMB2_H

#include "sensor/smb_files.h"

#define SMB_HEAD_MAX 16384 /* bytes of one message that are looked at; the rest is stepped over */

/* Where a message carries the content of a file or pipe: n bytes, `at` bytes behind its beginning. */
struct smb_data {
	uint32_t open; /* 0: it is not hashed */
	enum smb_direction direction;
	uint32_t at, n;
	bool pipe;       /* it may be written to a pipe */
	uint8_t length;  /* bytes in front of what the pipe is given */
	uint8_t fid[16]; /* the pipe's name */
};

/* How many bytes of a message have to be there before smb2_message() can read it,
 * given its first n (0 to SMB_HEAD_MAX); may grow with n. length is what is left
 * of the frame, the most that the message can be. */
size_t smb2_head(const uint8_t *p, size_t n, size_t length);
size_t smb2_length(const uint8_t *p, size_t n, size_t length); /* with its padding, in a chain */
struct smb_data smb2_message(struct inspect *in, struct smb_files *f, const uint8_t *p, size_t n);

#endif
