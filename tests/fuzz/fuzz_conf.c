/* Configuration: a file, then behind the first NUL lines that stand elsewhere: "PICKET_A__B=v" in
 * the environment, all others behind --set. What is not refused dumps to a file that loads again,
 * and dumps the same.
 * For: common/conf.c */
#define _GNU_SOURCE /* memfd_create */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"

#define WORDS_MAX 16

extern char **environ;

struct sample {
	char *interface, *even;
	struct conf_list home, evens;
	bool enabled;
	int64_t workers, memory, every_ms;
	int mode;
};

static bool even(const char *text, struct err *e)
{
	return strlen(text) % 2 == 0 || err_set(e, "an odd number of bytes");
}

static const char *const modes[] = {"auto", "strict", NULL};
static const struct conf_key keys[] = {
    {"capture.interface", CONF_STRING, offsetof(struct sample, interface), .help = "where"},
    {"capture.workers", CONF_INT, offsetof(struct sample, workers), .min = 1, .max = 64, .fallback = "1"},
    {"home", CONF_STRING_LIST, offsetof(struct sample, home), .help = "ours"},
    {"a.b.c", CONF_BYTES, offsetof(struct sample, memory), .fallback = "64MB", .max = 1ll << 42, .reload = true},
    {"a.enabled", CONF_BOOL, offsetof(struct sample, enabled), .fallback = "true"},
    {"every", CONF_DURATION_MS, offsetof(struct sample, every_ms), .fallback = "50ms", .reload = true},
    {"vlan", CONF_CHOICE, offsetof(struct sample, mode), .fallback = "auto", .choices = modes},
    {"a.even", CONF_STRING, offsetof(struct sample, even), .check = even},
    {"a.b.evens", CONF_STRING_LIST, offsetof(struct sample, evens), .check = even},
};
#define KEYS (sizeof(keys) / sizeof(*keys))

static bool load(const void *text, size_t n, char **variables, struct sample *s)
{
	char path[64], **mine = environ;
	struct diags d = {.limit = 50};
	int fd = memfd_create("conf", 0);
	if (fd < 0 || fchmod(fd, 0600) || write(fd, text, n) != (ssize_t)n)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	environ = variables;
	bool ok = variables ? conf_load(keys, KEYS, path, s, &d) : conf_load_file(keys, KEYS, path, s, &d);
	environ = mine;
	close(fd);
	diag_free(&d);
	return ok;
}

static bool set(char **words, struct sample *s)
{
	struct diags d = {.limit = 50};
	bool ok = true;
	for (; *words; words++)
		ok = conf_set_word(keys, KEYS, *words, s, &d) && ok;
	diag_free(&d);
	return ok;
}

static char *dump(const struct sample *s, size_t *n)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, n);
	conf_dump(keys, KEYS, s, f);
	fclose(f);
	return text;
}

static void dumps_to_itself(const struct sample *s)
{
	struct sample again = {0};
	size_t n, again_n;
	char *text = dump(s, &n), *again_text;
	if (!load(text, n, NULL, &again))
		abort();
	again_text = dump(&again, &again_n);
	if (n != again_n || memcmp(text, again_text, n) != 0)
		abort();
	conf_take_over(keys, KEYS, &again, s);
	free(text);
	free(again_text);
	conf_free(keys, KEYS, &again);
}

/* The lines of text, each to the one list or the other. */
static void split(char *text, char *variables[static WORDS_MAX + 1], char *words[static WORDS_MAX + 1])
{
	size_t v = 0, w = 0;
	for (char *at; (at = strsep(&text, "\n"));) {
		if (strncmp(at, "PICKET_", 7) == 0 && v < WORDS_MAX)
			variables[v++] = at;
		else if (*at && w < WORDS_MAX)
			words[w++] = at;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sample s = {0};
	const uint8_t *nul = n ? memchr(data, '\0', n) : NULL;
	size_t file_n = nul ? (size_t)(nul - data) : n, rest = n - file_n;
	char *variables[WORDS_MAX + 1] = {NULL}, *words[WORDS_MAX + 1] = {NULL};
	char *text = calloc(1, rest + 1);
	if (!text)
		return 0;
	if (rest)
		memcpy(text, nul + 1, rest - 1);
	split(text, variables, words);
	bool ok = load(data, file_n, variables, &s);
	if (set(words, &s) && ok)
		dumps_to_itself(&s);
	conf_free(keys, KEYS, &s);
	free(text);
	return 0;
}
