/* What the files of collector/partners*.c share. */
#ifndef COLLECTOR_PARTNERS_INTERNAL_H
#define COLLECTOR_PARTNERS_INTERNAL_H

#include "collector/gateway_conf.h"
#include "collector/inbound.h"
#include "collector/partner_dial.h"
#include "collector/partner_link.h"
#include "collector/partner_set.h"
#include "collector/partners.h"
#include "common/listen.h"

#define PARTNERS_LINKS_MAX  256 /* connections, those without a name yet included */

/* One partner. Its policy is policies.list[same index]. */
struct partner {
	struct partners *all;
	size_t index;
	struct dial *dial;
	int64_t dial_at_us, backoff_us;
	bool paused_in, paused_out, withdrawn;
	struct set_job {
		struct partner *of;
		enum lane lane;
		const char *exercise; /* "" = real; else one of its release.exercises */
		bool known, running;  /* the exercise, here: nobody asked yet; picket exercise start */
		int64_t until_us;     /* its end */
		bool changed, busy;   /* the set on the sensors is not what is in the store any more */
		int64_t since_us, quiet_us, not_before_us, began_us; /* first and last change; … */
		int64_t place, came_us; /* the last of theirs that is in it, and when it came */
		size_t indicators;
		int64_t took_us;
	} * sets; /* one for each lane: the real ones, then those of each exercise */
	size_t sets_n;
	struct watch { /* of its last flash set: collector/receipt.c */
		bool on, asking;
		char set[SHARED_NAME_MAX + 1];
		uint32_t version;
		size_t counting, sensors, armed, told; /* counting: answers that are to come */
		int64_t place, came_us, changed_us, look_us, told_us, until_us;
	} watch, next; /* next: on while it waits for answers about the one before */
	struct link_stats before; /* sums of links that are gone */
	bool up;
};

struct partners {
	const struct gateway_conf *conf;
	struct event_base *base;
	struct evdns_base *dns;
	struct redis_link *redis;
	struct objects *objects;
	struct audit *audit;
	struct policies policies;
	struct intake *poison;
	struct inbound *inbound;
	struct taker taker;
	struct link_house house;
	struct partner *list; /* as many as policies */
	struct sightings *sightings;
	struct negatives *negatives;
	struct set_maker *sets; /* NULL: no key, nothing goes to sensors */
	struct tls *server, *client;
	struct {
		struct listen_address at;
		int fd;
		struct event *event;
	} listen[GATEWAY_LINKS_LISTEN_MAX];
	size_t listen_n;
	struct link *links[PARTNERS_LINKS_MAX];
	size_t links_n;
	struct event *tick;
	int64_t last_row, now_us, flags_at_us, status_at_us;
	bool asking_last, asking_commands;
	bool resting; /* until partners_reload(): nothing is begun */
	size_t asking_flags, counting, commands, making; /* answers, walks that are on their way */
	bool counted, count_failed;
	char last_command[32];
};

const struct policy *partner_policy(const struct partner *p);
struct partner *partner_of(struct partners *all, const struct policy *p);
struct link *partner_link_of(const struct partner *p); /* NULL: there is none that is up */

/* partners_status.c: figures to Redis, flags from it. */
void partners_tell(struct partners *p);
void partners_ask_flags(struct partners *p);
/* Of its links that are gone, and of the one that is up, if there is one. */
struct link_stats partner_stats(const struct partner *p);
void stats_add(struct link_stats *sum, const struct link_stats *with);

/* partners_set.c: what changed goes to the sensors. */
void partners_open_sets(struct partner *p); /* its policy is set */
void partners_changed(struct partner *p, enum lane lane);
void partners_ask_exercises(struct partners *p);
void partners_make_sets(struct partners *p);

/* partners_command.c: what people ask for. */
void partners_ask_commands(struct partners *p);

#endif
