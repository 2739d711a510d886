/* What the files of the TAXII server share. */
#ifndef COLLECTOR_TAXII_INTERNAL_H
#define COLLECTOR_TAXII_INTERNAL_H

#include "collector/login.h"
#include "collector/release.h"
#include "collector/taxii.h"
#include "collector/taxii_filter.h"
#include "collector/taxii_page.h"
#include "collector/taxii_site.h"
#include "common/httpd.h"

#define TAXII_MEDIA    "application/taxii+json;version=2.1"
#define TAXII_PARTS    8
#define TAXII_PATH_MAX 1024
#define TAXII_SEED     "seed" /* who everybody is with a data file */

struct taxii {
	struct taxii_parts is;
	struct site site;
	bool seeded;
	struct release *release;
	struct login *login;
	struct tls *tls;
	struct httpd **servers;
	size_t servers_n;
	uint8_t key[FILTER_KEY_LEN]; /* of cursors */
	bool has_key;
	struct seed *seed;
	struct ask *asks; /* under way */
	struct taxii_stats stats;
};

/* One request, from who asks to the answer. */
struct ask {
	struct taxii *t;
	struct httpd_request *r;     /* NULL: its client is not waited for any more */
	const struct policy *policy; /* NULL with a data file */
	char partner[LOGIN_USER_MAX + SHARED_NAME_MAX + 1];
	char path[TAXII_PATH_MAX];
	const char *part[TAXII_PARTS];
	size_t parts;
	const struct site_root *root;
	const struct site_collection *collection;
	bool can_read, can_write;
	struct filter filter;
	enum page_kind kind;
	char id[SHARED_ID_MAX + 1]; /* of the object in the path; "" = none */
	bool cut;                   /* policies have changed under it: nothing of them may be touched */
	struct ask *next;
};

/* Each of these ends the request: a is gone afterwards. */
void ask_reply(struct ask *a, int status, const struct buf *body);
void ask_fail(struct ask *a, int status, const char *title, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void ask_busy(struct ask *a); /* the store does not answer: 503 */

void taxii_route(struct ask *a);                  /* taxii_route.c: who asks is known */
void taxii_post(struct ask *a);                   /* taxii_post.c */
void taxii_status(struct ask *a, const char *id); /* taxii_post.c */

struct seed *seed_new(struct taxii *t); /* taxii_seed.c; loads when Redis is ready */
void seed_ready(struct seed *s);
void seed_free(struct seed *s);

void taxii_uuid(char out[static 37]);

#endif
