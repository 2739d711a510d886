#include "rules/policy.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/text.h"
#include "common/tls.h"

#define AT(member) offsetof(struct policy, member)
#define SECOND     1000
#define HOUR       (3600ll * SECOND)

const char *const profile_names[PROFILE_COUNT + 1] = {
    [PROFILE_PICKET] = "picket", [PROFILE_TAXII] = "taxii", [PROFILE_OPENCTI] = "opencti", [PROFILE_MISP] = "misp"};
const char *const inbound_mode_names[INBOUND_MODE_COUNT + 1] = {[INBOUND_REVIEW] = "review", [INBOUND_AUTO] = "auto"};
static const char *const path_names[PATH_SHOW_COUNT + 1] = {[PATH_FULL] = "full", [PATH_ANONYMOUS] = "anonymous"};

/* MISP's converter makes a sighting of count 0 a hit and refuses opinions. */
bool profile_negative_sightings(enum profile p)
{
	return p == PROFILE_PICKET || p == PROFILE_TAXII;
}

bool profile_opinions(enum profile p)
{
	return p != PROFILE_MISP;
}

bool profile_envelope(enum profile p)
{
	return p == PROFILE_PICKET;
}

/* ---- what a value must look like ---- */

static bool check_name(const char *text, struct err *e)
{
	return shared_name_valid(text) ||
	       err_set(e, "expected 1 to %d of A-Z a-z 0-9 . _ -, found \"%s\"", SHARED_NAME_MAX, text);
}

static bool check_time(const char *text, struct err *e)
{
	int64_t us;
	return clock_parse(text, &us) || err_set(e, "expected a time as in 2027-03-01T00:00:00Z, found \"%s\"", text);
}

static bool check_identity(const char *text, struct err *e)
{
	struct identity id;
	struct err why;
	if (!identity_parse(text, strlen(text), &id, &why))
		return err_set(e, "expected picket://<org>/partner/<name>, found \"%s\"", text);
	return id.role == ROLE_PARTNER || err_set(e, "\"%s\" is not of the role partner", text);
}

static bool check_collection(const char *text, struct err *e)
{
	char id[64];
	snprintf(id, sizeof(id), "x--%.48s", text);
	return shared_id_valid(id) || err_set(e, "expected a collection's UUID, found \"%s\"", text);
}

static bool check_sha256(const char *text, struct err *e)
{
	uint8_t digest[32];
	return text_unhex(digest, sizeof(digest), text, strlen(text)) ||
	       err_set(e, "expected 64 hex digits (a SHA-256 or an Ed25519 public key)");
}

static bool property(const char *text, size_t n)
{
	return n && n <= 250 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") >= n;
}

static bool check_property(const char *text, struct err *e)
{
	return property(text, strlen(text)) || err_set(e, "expected the name of a property, found \"%s\"", text);
}

static bool check_drop(const char *text, struct err *e)
{
	size_t n = strcspn(text, ".");
	bool good = property(text, n) && (!text[n] || property(text + n + 1, strlen(text + n + 1)));
	return good || err_set(e, "expected field or type.field, found \"%s\"", text);
}

static bool check_fields(const char *text, struct err *e)
{
	size_t n = strcspn(text, ":");
	bool good = text[n] && property(text, n);
	for (const char *p = text + n + !!text[n]; good && *p; p += strcspn(p, " ")) {
		p += strspn(p, " ");
		if (*p)
			good = property(p, strcspn(p, " "));
	}
	return good || err_set(e, "expected \"type: field field\", found \"%s\"", text);
}

/* The first name is what stands for every STIX type that may be shared at all. */
const struct conf_key policy_keys[] = {
    {"partner.id", CONF_STRING, AT(id), .check = check_name,
     .help = "The partner's organisation as it stands in its certificate; must be given."},
    {"partner.title", CONF_STRING, AT(title), .help = "Its name for people."},
    {"partner.valid_until", CONF_STRING, AT(valid_until), .check = check_time,
     .help = "The partnership's end: nothing is released from then on."},
    {"link.identity", CONF_STRING, AT(link.identity), .check = check_identity,
     .help = "The certificate that is taken on a link: picket://<org>/partner/<name>."},
    {"link.address", CONF_STRING, AT(link.address),
     .help = "Where we connect, host:port or [v6]:port; empty = they connect to us."},
    {"link.rate", CONF_INT, AT(link.rate), 1, 10000000, "200000", .help = "Objects a second to them."},
    {"taxii.user", CONF_STRING, AT(taxii.user),
     .help = "User of basic authentication at our TAXII server; its password is in the gateway's taxii.passwords."},
    {"taxii.identity", CONF_STRING, AT(taxii.identity), .check = check_identity,
     .help = "The certificate that is taken at our TAXII server."},
    {"taxii.read", CONF_STRING_LIST, AT(taxii.read), .check = check_collection, .help = "Collections they may read."},
    {"taxii.write", CONF_STRING_LIST, AT(taxii.write), .check = check_collection,
     .help = "Collections they may write to."},
    {"bundle.public", CONF_STRING, AT(bundle_public), .check = check_sha256,
     .help = "Public key (64 hex digits) that signs the bundles they bring (picket bundle import)."},
    {"release.tlp_max", CONF_CHOICE, AT(release.tlp_max), .fallback = "unmarked", .choices = tlp_names,
     .help = "The highest TLP that may go to them; unmarked = nothing goes."},
    {"release.pap_max", CONF_CHOICE, AT(release.pap_max), .fallback = "red", .choices = pap_names,
     .help = "The highest PAP that may go to them."},
    {"release.unaddressed", CONF_CHOICE, AT(release.unaddressed), .fallback = "unmarked", .choices = tlp_names,
     .help = "Objects addressed to nobody go up to this TLP; unmarked = they do not go."},
    {"release.groups", CONF_STRING_LIST, AT(release.groups), .check = check_name,
     .help = "Groups that they are in: objects addressed to one of these go."},
    {"release.exercises", CONF_STRING_LIST, AT(release.exercises), .check = check_name,
     .help = "Exercises that they take part in."},
    {"release.hops", CONF_INT, AT(release.hops), 0, SHARED_PATH_MAX, "4",
     .help = "Objects that went through more organisations before us do not go; TLP may say fewer."},
    {"release.types", CONF_STRING_LIST, AT(release.types),
     .fallback = "indicator,sighting,opinion,identity,marking-definition", .check = check_property,
     .help = "STIX types that may go."},
    {"release.fields", CONF_STRING_LIST, AT(release.fields), .check = check_fields,
     .help = "\"type: field field\": of this type only these besides those that it must have."},
    {"release.drop", CONF_STRING_LIST, AT(release.drop), .check = check_drop,
     .help = "field or type.field: never goes."},
    {"release.custom", CONF_STRING_LIST, AT(release.custom), .check = check_property,
     .help = "Properties outside STIX that may go."},
    {"release.victim_detail", CONF_BOOL, AT(release.victim_detail), .fallback = "false",
     .help = "Whether sightings say where, and observed data go."},
    {"release.statements", CONF_BOOL, AT(release.statements), .fallback = "false",
     .help = "Whether definitions of statement markings go without a marking of their own."},
    {"release.receipts", CONF_BOOL, AT(release.receipts), .fallback = "false",
     .help =
	 "Whether they are told how many of our sensors match with what they sent with priority immediate or flash."},
    {"release.path", CONF_CHOICE, AT(release.path), .fallback = "anonymous", .choices = path_names,
     .help = "How organisations before us stand in the path: by name, or as aliases only they recognise."},
    {"release.profile", CONF_CHOICE, AT(release.profile), .fallback = "taxii", .choices = profile_names,
     .help = "What their software understands."},
    {"inbound.mode", CONF_CHOICE, AT(inbound.mode), .fallback = "review", .choices = inbound_mode_names,
     .help = "review: a person accepts what they send; auto: it is used when no check objects."},
    {"inbound.tlp_max", CONF_CHOICE, AT(inbound.tlp_max), .fallback = "red", .choices = tlp_names,
     .help = "What is marked above this is refused: we do not want to hold it."},
    {"inbound.types", CONF_STRING_LIST, AT(inbound.types),
     .fallback = "indicator,sighting,opinion,identity,marking-definition", .check = check_property,
     .help = "STIX types that are taken."},
    {"inbound.quota", CONF_INT, AT(inbound.quota), 0, 100000000, "2000000", .help = "Objects of theirs that are held."},
    {"inbound.rate", CONF_INT, AT(inbound.rate), 1, 10000000, "50000", .help = "Objects a second that are taken."},
    {"inbound.burst", CONF_INT, AT(inbound.burst), 1, 100000000, "100000", .help = "Objects at once."},
    {"inbound.skew", CONF_DURATION_MS, AT(inbound.skew_ms), 0, 24 * 365 * HOUR, "1h",
     .help = "How far ahead of our clock an object's times may be."},
    {"inbound.confidence_max", CONF_INT, AT(inbound.confidence_max), 0, 100, "100",
     .help = "Confidence above this is lowered to it here."},
    {"inbound.prevalence_max", CONF_INT, AT(inbound.prevalence_max), 0, 1000000000, "20",
     .help = "Assets here that an indicator may hit; one that hits more is quarantined; 0 = any."},
    {"inbound.fp_threshold", CONF_INT, AT(inbound.fp_threshold), 0, 1000000, "3",
     .help = "False-positive reports of different organisations that quarantine an indicator; 0 = never."},
    {"inbound.sightings", CONF_BOOL, AT(inbound.sightings), .fallback = "true",
     .help = "Whether they are told what their indicators hit here."},
    {"inbound.negative", CONF_DURATION_MS, AT(inbound.negative_ms), 0, 365 * 24 * HOUR, "0",
     .help = "How often they are told which of their indicators were looked for and not seen; 0 = never."},
    {"inbound.relay", CONF_BOOL, AT(inbound.relay), .fallback = "true",
     .help = "Whether their sightings and false-positive reports of what others gave us go on to those."},
};
const size_t policy_keys_n = sizeof(policy_keys) / sizeof(*policy_keys);

/* ---- loading ---- */

static const char *given(const char *text)
{
	return text ? text : "";
}

static void check_whole(struct policy *p, const char *own, struct diags *d)
{
	struct diag_place at = {.file = p->file};
	struct identity id;
	struct err e;
	if (!p->id)
		diag_add(d, DIAG_ERROR, at, "partner", "partner.id is not given");
	else if (strcmp(p->id, own) == 0)
		diag_add(d, DIAG_ERROR, at, "partner", "partner.id \"%s\" is our own organisation", own);
	const char *const uris[] = {p->link.identity, p->taxii.identity};
	for (size_t i = 0; i < 2; i++)
		if (uris[i] && p->id && identity_parse(uris[i], strlen(uris[i]), &id, &e) && strcmp(id.org, p->id) != 0)
			diag_add(d, DIAG_ERROR, at, "identity", "%s is of another organisation than partner.id \"%s\"",
				 uris[i], p->id);
	if (p->link.address && !p->link.identity)
		diag_add(d, DIAG_ERROR, at, "link", "link.address needs link.identity: who should answer there");
	if (p->release.unaddressed > p->release.tlp_max)
		diag_add(d, DIAG_ERROR, at, "release", "release.unaddressed is above release.tlp_max");
	if (p->valid_until)
		clock_parse(p->valid_until, &p->valid_until_us);
}

static void check_unique(const struct policies *p, const struct policy *x, struct diags *d)
{
	struct diag_place at = {.file = x->file};
	for (const struct policy *y = p->list; y < x; y++) {
		if (strcmp(given(x->id), given(y->id)) == 0)
			diag_add(d, DIAG_ERROR, at, "duplicate", "partner \"%s\" is in %s already", given(x->id),
				 y->file);
		if (x->link.identity && y->link.identity && strcmp(x->link.identity, y->link.identity) == 0)
			diag_add(d, DIAG_ERROR, at, "duplicate", "link.identity %s is in %s already", x->link.identity,
				 y->file);
		if (x->taxii.user && y->taxii.user && strcmp(x->taxii.user, y->taxii.user) == 0)
			diag_add(d, DIAG_ERROR, at, "duplicate", "taxii.user %s is in %s already", x->taxii.user,
				 y->file);
	}
}

static void load_one(struct policies *p, const char *file, struct diags *d)
{
	if (p->n == POLICIES_MAX) {
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = file}, "too-many", "more than %d partners",
			 POLICIES_MAX);
		return;
	}
	struct policy *x = &p->list[p->n];
	*x = (struct policy){.all = p, .file = xstrdup(file)};
	conf_load_file(policy_keys, policy_keys_n, file, x, d);
	check_whole(x, p->own, d);
	check_unique(p, x, d);
	if (x->id)
		p->n++;
	else {
		conf_free(policy_keys, policy_keys_n, x);
		free(x->file);
	}
}

static int yaml_file(const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	return e->d_name[0] != '.' && n > 5 && strcmp(e->d_name + n - 5, ".yaml") == 0;
}

static void load_folder(struct policies *p, const char *path, struct diags *d)
{
	struct dirent **list;
	char file[4096];
	int n = scandir(path, &list, yaml_file, alphasort);
	if (n < 0)
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = path}, "unreadable", "cannot read the folder");
	for (int i = 0; i < n; i++) {
		if (snprintf(file, sizeof(file), "%s/%s", path, list[i]->d_name) < (int)sizeof(file))
			load_one(p, file, d);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

bool policies_load(struct policies *p, const char *own, const char *path, struct diags *d)
{
	struct stat st;
	size_t before = d->count[DIAG_ERROR];
	*p = (struct policies){.list = xcalloc(POLICIES_MAX, sizeof(*p->list)), .book = marking_book_new()};
	snprintf(p->own, sizeof(p->own), "%s", own);
	if (stat(path, &st) != 0)
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = path}, "unreadable",
			 "there is no such folder or file");
	else if (S_ISDIR(st.st_mode))
		load_folder(p, path, d);
	else
		load_one(p, path, d);
	return d->count[DIAG_ERROR] == before;
}

void policies_free(struct policies *p)
{
	for (size_t i = 0; i < p->n; i++) {
		conf_free(policy_keys, policy_keys_n, &p->list[i]);
		free(p->list[i].file);
	}
	free(p->list);
	marking_book_free(p->book);
	*p = (struct policies){0};
}

/* ---- asking ---- */

const struct policy *policies_find(const struct policies *p, const char *id)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->list[i].id, id) == 0)
			return &p->list[i];
	return NULL;
}

const struct policy *policies_by_identity(const struct policies *p, const char *uri)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].link.identity && strcmp(p->list[i].link.identity, uri) == 0)
			return &p->list[i];
	return NULL;
}

bool policy_lists(const struct conf_list *list, const char *word)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i], word) == 0)
			return true;
	return false;
}

bool policy_in_group(const struct policy *p, const char *group)
{
	return strcmp(p->id, group) == 0 || policy_lists(&p->release.groups, group);
}
