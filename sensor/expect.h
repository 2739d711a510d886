/* Connections that another flow announced (FTP data, TFTP): which parser they belong
 * to, and what it is told. Bounded; an entry is used once or forgotten. Workers may share
 * one: the kernel may give the connection to another than saw it announced. */
#ifndef SENSOR_EXPECT_H
#define SENSOR_EXPECT_H

#include "sensor/inspect.h"

#define EXPECT_MAX      1024 /* the oldest goes first */
#define EXPECT_NOTE_MAX 255  /* bytes; a longer note is cut */
#define EXPECT_SECONDS  60

struct expected {
	const struct parser *parser;
	size_t note_n;
	uint8_t note[EXPECT_NOTE_MAX];
};

struct expect;
struct expect *expect_new(void);
void expect_free(struct expect *x);
/* False: one that was still awaited has made room. */
bool expect_add(struct expect *x, const struct addr *a, uint16_t port, int64_t now_us, const struct parser *p,
		const void *note, size_t n);
/* Whether one of the flow's two ends was announced; takes the entry. */
bool expect_take(struct expect *x, const struct inspect *in, struct expected *out);

#endif
