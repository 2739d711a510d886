/* Logins in the lines of SMTP, IMAP and POP3 (SASL, RFC 4422): who logs in. */
#ifndef SENSOR_SASL_H
#define SENSOR_SASL_H

#include "sensor/inspect.h"

#define SASL_USER_MAX  512  /* bytes of a user's name; longer ones are counted and left out */
#define SASL_TOKEN_MAX 8192 /* of a line with a token */

/* What the client's next line is. */
enum sasl { SASL_NOTHING = 0, SASL_PLAIN, SASL_NAME, SASL_PASSWORD, SASL_CRAM, SASL_NTLM };

void sasl_user(struct inspect *in, struct bytes name);

/* The client begins, with what stands behind its command: a mechanism, perhaps a token. */
void sasl_begin(struct inspect *in, enum sasl *s, struct bytes arguments);
/* Its next line, without the end, while *s is not SASL_NOTHING. */
void sasl_token(struct inspect *in, enum sasl *s, struct bytes line);

#endif
