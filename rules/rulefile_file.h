/* A whole file in memory, with the limit that every rule file keeps to. */
#ifndef RULES_RULEFILE_FILE_H
#define RULES_RULEFILE_FILE_H

#include "common/buf.h"
#include "common/err.h"

#define RULEFILE_BYTES_MAX (256u << 20)

/* "-" is standard input. False leaves what was read in out. */
bool rulefile_slurp(const char *path, struct buf *out, struct err *e);

#endif
