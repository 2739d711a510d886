/* A mail (RFC 5322, MIME RFC 2045-2049) or a form upload (RFC 7578), streamed:
 * header fields, attachments' names, attachments as files, decoded. */
#ifndef SENSOR_MIME_H
#define SENSOR_MIME_H

#include "sensor/inspect.h"

#define MIME_DEPTH_MAX    8     /* multiparts within one another */
#define MIME_EMBEDDED_MAX 4     /* forwarded messages whose header fields are read */
#define MIME_BOUNDARY_MAX 200   /* RFC 2046 allows 70 */
#define MIME_FIELD_MAX    16384 /* bytes of a header field, folds and all; the rest is skipped */
#define MIME_FIELDS_MAX   1000  /* header fields of one part */
#define MIME_NAME_MAX     1024  /* of an attachment's name */
#define MIME_SUBJECT_KEEP 256   /* for describe() */

struct mime; /* lives in in->mem */

/* NULL when memory is short (counted). */
struct mime *mime_begin_mail(struct inspect *in);
/* NULL, too, when the content type is not multipart with a boundary. */
struct mime *mime_begin_form(struct inspect *in, struct bytes content_type);

/* The following accept m == NULL. */
void mime_data(struct inspect *in, struct mime *m, const uint8_t *p, size_t n);
void mime_gap(struct inspect *in, struct mime *m);             /* bytes are missing here */
void mime_end(struct inspect *in, struct mime *m, bool whole); /* reports the last part, frees m */
void mime_drop(struct inspect *in, struct mime *m);

struct bytes mime_subject(const struct mime *m); /* decoded; empty until seen */

#endif
