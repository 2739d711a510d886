/* Configuration files: any text is either refused with findings or dumps to a
 * file that loads again.
 * For: common/conf.c */
#define _GNU_SOURCE /* memfd_create */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/conf.h"

struct sample {
	char *interface;
	struct conf_list home;
	bool enabled;
	int64_t workers, memory, every_ms;
	int mode;
};

static const char *const modes[] = {"auto", "strict", NULL};
static const struct conf_key keys[] = {
    {"capture.interface", CONF_STRING, offsetof(struct sample, interface), .help = "where"},
    {"capture.workers", CONF_INT, offsetof(struct sample, workers), .min = 1, .max = 64, .fallback = "1"},
    {"home", CONF_STRING_LIST, offsetof(struct sample, home), .help = "ours"},
    {"a.b.c", CONF_BYTES, offsetof(struct sample, memory), .fallback = "64MB"},
    {"a.enabled", CONF_BOOL, offsetof(struct sample, enabled), .fallback = "true"},
    {"every", CONF_DURATION_MS, offsetof(struct sample, every_ms), .fallback = "50ms"},
    {"vlan", CONF_CHOICE, offsetof(struct sample, mode), .fallback = "auto", .choices = modes},
};
#define KEYS (sizeof(keys) / sizeof(*keys))

static bool load(const void *text, size_t n, struct sample *s)
{
	char path[64];
	struct diags d = {0};
	int fd = memfd_create("conf", 0);
	if (fd < 0 || write(fd, text, n) != (ssize_t)n)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	bool ok = conf_load(keys, KEYS, path, s, &d);
	close(fd);
	diag_free(&d);
	return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sample s = {0}, again = {0};
	if (load(data, n, &s)) {
		char *text = NULL;
		size_t text_n;
		FILE *f = open_memstream(&text, &text_n);
		conf_dump(keys, KEYS, &s, f);
		fclose(f);
		if (!load(text, text_n, &again))
			abort();
		free(text);
	}
	conf_free(keys, KEYS, &s);
	conf_free(keys, KEYS, &again);
	return 0;
}
