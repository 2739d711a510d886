#include "collector/cli_receipts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collector/publish.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/exits.h"
#include "common/frame.h"
#include "common/text.h"

#define SENSORS_MAX 10000
#define POLL_MS     20
#define MISSING_MAX 20 /* names that are printed */

struct sensor {
	char id[FRAME_ID_MAX + 1];
	bool armed, refused;
	char why[300];
};

struct sensors {
	struct sensor *v;
	size_t n;
};

/* ---- who should match ---- */

static bool takes_sets(struct cli *c, const char *id, const char *ring)
{
	char key[FRAME_ID_MAX + 32], value[MANIFEST_SET_MAX + 1];
	snprintf(key, sizeof(key), "picket:sensor:%s", id);
	struct reply *r = cli_ask(c, "HGETALL", key, NULL);
	bool yes = r && strcmp(cli_text(r, "connected", value, sizeof(value)), "true") == 0 &&
		   strcmp(cli_text(r, "takes_sets", value, sizeof(value)), "true") == 0 &&
		   (!*ring || strcmp(cli_text(r, "ring", value, sizeof(value)), ring) == 0);
	reply_free(r);
	return yes;
}

static bool find_sensors(struct cli *c, const char *ring, struct sensors *s)
{
	struct reply *ids = cli_ask(c, "ZREVRANGE", "picket:sensors", "0", "9999", NULL);
	if (!ids)
		return false;
	s->v = xcalloc(reply_count(ids) + 1, sizeof(*s->v));
	for (size_t i = 0; i < reply_count(ids) && s->n < SENSORS_MAX; i++) {
		struct bytes raw;
		struct sensor *one = &s->v[s->n];
		if (!reply_text(reply_at(ids, i), &raw) || raw.n > FRAME_ID_MAX)
			continue;
		memcpy(one->id, raw.p, raw.n);
		one->id[raw.n] = '\0';
		s->n += takes_sets(c, one->id, ring);
	}
	reply_free(ids);
	return true;
}

/* ---- who does ---- */

/* "armed|refused <time> <digest> <sentence>" */
static void note(struct sensor *s, struct bytes text)
{
	char clean[600], *rest = NULL;
	text_clean(clean, sizeof(clean), text.p, text.n);
	const char *what = strtok_r(clean, " ", &rest);
	s->armed = what && strcmp(what, "armed") == 0;
	s->refused = what && strcmp(what, "refused") == 0;
	strtok_r(NULL, " ", &rest);
	strtok_r(NULL, " ", &rest);
	snprintf(s->why, sizeof(s->why), "%s", rest ? rest : "");
}

/* How many have answered; SIZE_MAX: Redis does not. */
static size_t read_receipts(struct cli *c, const char *set, uint32_t version, struct sensors *s)
{
	char key[256];
	size_t answered = 0;
	snprintf(key, sizeof(key), PUBLISH_PREFIX "set:%s:receipts:%" PRIu32, set, version);
	struct reply *r = cli_ask(c, "HGETALL", key, NULL);
	if (!r)
		return SIZE_MAX;
	for (size_t i = 0; i < s->n; i++) {
		struct bytes text;
		if (cli_field(r, s->v[i].id, &text))
			note(&s->v[i], text);
		answered += s->v[i].armed || s->v[i].refused;
	}
	reply_free(r);
	return answered;
}

static size_t count_armed(const struct sensors *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		n += s->v[i].armed;
	return n;
}

static void print_missing(const struct sensors *s)
{
	size_t told = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].armed || told++ >= MISSING_MAX)
			continue;
		printf("  %s: %s\n", text_shown(s->v[i].id), s->v[i].refused ? s->v[i].why : "no answer yet");
	}
	if (told > MISSING_MAX)
		printf("  and %zu more\n", told - MISSING_MAX);
}

int receipts_wait(struct cli *c, const char *set, uint32_t version, const char *ring, int64_t began_us,
		  int64_t timeout_ms)
{
	struct sensors s = {0};
	int64_t last_us = clock_mono_us();
	size_t before = 0, answered = 0;
	if (!find_sensors(c, ring, &s))
		return free(s.v), EXIT_ENVIRONMENT;
	do {
		answered = read_receipts(c, set, version, &s);
		if (answered == SIZE_MAX)
			return free(s.v), EXIT_ENVIRONMENT;
		if (answered != before)
			last_us = clock_mono_us();
		before = answered;
		if (answered < s.n)
			nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000}, NULL);
	} while (answered < s.n && clock_mono_us() - began_us < timeout_ms * 1000);
	size_t armed = count_armed(&s);
	printf("%zu of %zu sensors match since t+%.1f s\n", armed, s.n, (double)(last_us - began_us) / 1e6);
	print_missing(&s);
	size_t expected = s.n;
	free(s.v);
	return armed == expected ? EXIT_OK : EXIT_FINDINGS;
}
