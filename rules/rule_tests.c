#include "rules/rule_tests.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

/* "pcaps/a.pcap" in sets/demo.yaml is sets/pcaps/a.pcap. */
static char *beside(const char *file, const char *capture)
{
	const char *slash = strrchr(file, '/');
	struct buf b = {0};
	if (*capture != '/' && slash)
		buf_add(&b, file, (size_t)(slash + 1 - file));
	buf_add(&b, capture, strlen(capture) + 1);
	return (char *)b.p;
}

bool rule_tests_add(struct rule_tests *t, enum indicator_type type, const char *value, const char *capture, bool hit,
		    const char *file, unsigned line)
{
	if (t->n >= RULE_TESTS_MAX)
		return false;
	t->v = xrealloc(t->v, (t->n + 1) * sizeof(*t->v));
	t->v[t->n++] = (struct rule_test){.type = type,
					  .value = value ? xstrdup(value) : NULL,
					  .capture = beside(file, capture),
					  .hit = hit,
					  .file = xstrdup(file),
					  .line = line};
	return true;
}

void rule_tests_free(struct rule_tests *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->v[i].value);
		free(t->v[i].capture);
		free(t->v[i].file);
	}
	free(t->v);
	*t = (struct rule_tests){0};
}
