/* Files with secrets: private keys, passwords, what signs cursors. A secret that
 * others may read is none any more, and one that others may write is theirs, so both
 * are refused before a byte is read, with the command that puts it right.
 *
 * Fit is a regular file of root or of the user that runs this, which its group may
 * read and nobody else may touch: 0640 and stricter. What an access list grants beyond
 * the mode shows in the mode's group part (acl(5)), and counts so. */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/err.h"

/* Files that say whom to trust: CAs, revocation lists, keys of those who sign sets,
 * configuration. Everybody may read them; whoever may write one decides for us. */

#define SECRET_FILE_MODE 0640 /* what is written with a secret in it */

/* Opens the file at path for reading; what: how errors call it ("the key", "the Redis
 * password"). The caller closes it. NULL: e says why and what to do. */
FILE *secret_open(const char *path, const char *what, struct err *e);

/* The file's first line, without its end, into line[n]. False: not readable, not fit,
 * empty, or longer than n - 2 bytes. */
bool secret_line(const char *path, const char *what, char *line, size_t n, struct err *e);

/* Who may change a file that says whom to trust. */
enum trusted_by {
	TRUSTED_OWNER = 0, /* its owner only: root or the user that runs this. A group is not
			    * trusted even when it is the owner's own: who is in it, the file cannot tell. */
	TRUSTED_GROUP,     /* its group, too, and the owner may be anybody: configuration that people
			    * keep where their umask is 002 */
};

/* Whether nobody else can change the file, nor put another in its place: its folder is
 * judged by the same rule, unless it is sticky. What is no regular file, and a file that is
 * not there, pass: whoever reads it says what is wrong with it. what: how errors call it.
 * False: e says the command that puts it right. */
bool trusted_file(const char *path, const char *what, enum trusted_by by, struct err *e);

#endif
