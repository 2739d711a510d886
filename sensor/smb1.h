/* SMB 1 messages ([MS-CIFS], [MS-SMB]), as far as old servers and worms speak it. */
#ifndef SENSOR_SMB1_H
#define SENSOR_SMB1_H

#include "sensor/smb2.h"

/* As the functions of smb2.h. */
size_t smb1_head(const uint8_t *p, size_t n, size_t length);
struct smb_data smb1_message(struct inspect *in, struct smb_files *f, const uint8_t *p, size_t n);

#endif
