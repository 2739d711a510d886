/* A file that passes on the wire: hashed while it streams, never held. Only the
 * digests that the rule set asks for are computed. */
#ifndef SENSOR_FILE_H
#define SENSOR_FILE_H

#include "sensor/inspect.h"

struct file; /* lives in in->mem */

/* Some digest is asked for. */
static inline bool file_wanted(const struct inspect *in)
{
	return wanted(in, WHERE_FILE_MD5) || wanted(in, WHERE_FILE_SHA1) || wanted(in, WHERE_FILE_SHA256);
}

/* NULL when nothing wants a file digest or memory is short (counted). */
struct file *file_begin(struct inspect *in);
void file_data(struct file *f, const void *p, size_t n);
/* whole: all bytes from first to last were seen: reports FILE_MD5, FILE_SHA1 and
 * FILE_SHA256 through observe(). Otherwise it is counted as cut. Frees f; f may be NULL. */
void file_end(struct inspect *in, struct file *f, bool whole);
/* Frees without reporting or counting. */
void file_drop(struct inspect *in, struct file *f);

#endif
