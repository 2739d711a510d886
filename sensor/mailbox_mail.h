/* The mails within IMAP and POP3, on the way to the MIME reader (sensor/mime.h): a text
 * of lines that ends with a dot (POP3), or a literal of a known length (IMAP). */
#ifndef SENSOR_MAILBOX_MAIL_H
#define SENSOR_MAILBOX_MAIL_H

#include "sensor/mime.h"

struct mail {
	struct mime *mime; /* NULL: what comes is stepped over, or nothing comes */
	uint64_t left;     /* of a literal */
	uint64_t next;     /* IMAP: where the next part of the same mail begins; 0: it was whole */
	enum { MAIL_NONE = 0, MAIL_LITERAL, MAIL_LINE, MAIL_DOT, MAIL_DOT_CR, MAIL_MIDDLE } at;
};

/* A text of lines begins; mail: it is one, otherwise a listing. */
void mail_pop3_begin(struct inspect *in, struct mail *m, bool mail);
/* An IMAP line that may end with "{n}": a literal follows. append: the line is an APPEND
 * command, whose literal is a mail; otherwise what stands before the brace tells. */
void mail_imap_literal(struct inspect *in, struct mail *m, struct bytes line, bool append);

/* Takes what belongs to the mail off the stream; 0: the next byte is none of it. */
size_t mail_data(struct inspect *in, struct mail *m, const uint8_t *p, size_t n);
/* True: what was lost was within a mail, and where it ends is still known. */
bool mail_gap(struct inspect *in, struct mail *m, size_t lost);
void mail_end(struct inspect *in, struct mail *m, bool whole);
void mail_drop(struct inspect *in, struct mail *m);

#endif
