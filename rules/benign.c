#include "rules/benign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/buf.h"
#include "common/json.h"
#include "rules/everyday.h"
#include "rules/rulefile_file.h"

#define SUBSTRINGS_MAX 10000
#define LIST_ITEMS_MAX 5000000

#define BIT(t)    INDICATOR_BIT(INDICATOR_##t)
#define NAMES     (BIT(DOMAIN) | BIT(HOSTNAME))
#define ADDRESSES (BIT(IP) | BIT(CIDR))

struct substring {
	char *text;
	indicator_mask types;
	size_t list;
};

struct benign {
	struct ruleset_builder *b;
	struct ruleset *r;
	struct benign_list *list;
	size_t n;
	struct substring *substring;
	size_t substrings;
};

struct benign *benign_new(void)
{
	struct benign *b = xcalloc(1, sizeof(*b));
	b->b = ruleset_builder_new();
	return b;
}

void benign_free(struct benign *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n; i++)
		free((void *)(uintptr_t)b->list[i].name);
	for (size_t i = 0; i < b->substrings; i++)
		free(b->substring[i].text);
	free(b->substring);
	free(b->list);
	ruleset_builder_free(b->b);
	ruleset_free(b->r);
	free(b);
}

/* A list is a set of the rule set, its id the list's number. */
static uint32_t add_list(struct benign *b, enum diag_level level, const char *code, const char *name)
{
	char id[24];
	snprintf(id, sizeof(id), "%zu", b->n);
	b->list = xrealloc(b->list, (b->n + 1) * sizeof(*b->list));
	b->list[b->n++] = (struct benign_list){.level = level, .code = code, .name = xstrdup(name)};
	return ruleset_add_set(b->b, &(struct indicator_set){.id = id});
}

static bool add_value(struct benign *b, uint32_t list, enum indicator_type t, const char *value)
{
	struct indicator i = {.type = t, .value = value};
	return ruleset_add(b->b, list, &i, NULL) != ADDED_INVALID;
}

/* IANA's special-purpose registries for IPv4 and IPv6, and RFC 6761's names. */
static const struct {
	const char *name;
	enum diag_level level;
	const char *values[8];
} reserved[] = {
    {"private addresses (RFC 1918, RFC 6598, RFC 4193)",
     DIAG_WARNING,
     {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"}},
    {"addresses of the host itself (RFC 1122, RFC 4291)",
     DIAG_WARNING,
     {"0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128"}},
    {"link-local addresses (RFC 3927, RFC 4291)", DIAG_WARNING, {"169.254.0.0/16", "fe80::/10"}},
    {"multicast and broadcast (RFC 5771, RFC 4291)", DIAG_WARNING, {"224.0.0.0/4", "240.0.0.0/4", "ff00::/8"}},
    {"documentation and benchmarks (RFC 5737, RFC 3849, RFC 2544)",
     DIAG_NOTE,
     {"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/32"}},
    {"names without a public owner (RFC 6761, RFC 8375)",
     DIAG_WARNING,
     {"localhost", "local", "invalid", "home.arpa", "in-addr.arpa", "ip6.arpa", "internal"}},
};

static const struct {
	enum indicator_type type;
	const char *digest;
} empty_file[] = {
    {INDICATOR_FILE_MD5, "d41d8cd98f00b204e9800998ecf8427e"},
    {INDICATOR_FILE_SHA1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
    {INDICATOR_FILE_SHA256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
};

void benign_add_builtin(struct benign *b)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++) {
		uint32_t list = add_list(b, reserved[i].level, "reserved", reserved[i].name);
		for (const char *const *v = reserved[i].values; *v; v++)
			add_value(b, list, strchr(*v, '/') ? INDICATOR_CIDR : INDICATOR_DOMAIN, *v);
	}
	uint32_t list = add_list(b, DIAG_ERROR, "empty-file", "the empty file");
	for (size_t i = 0; i < sizeof(empty_file) / sizeof(*empty_file); i++)
		add_value(b, list, empty_file[i].type, empty_file[i].digest);
}

void benign_add_everyday(struct benign *b)
{
	char www[80];
	uint32_t list = add_list(b, DIAG_WARNING, "everyday", "names that every network looks up");
	for (const char *const *v = everyday_names; *v; v++) {
		snprintf(www, sizeof(www), "www.%s", *v);
		add_value(b, list, INDICATOR_HOSTNAME, *v);
		add_value(b, list, INDICATOR_HOSTNAME, www);
	}
	list = add_list(b, DIAG_WARNING, "everyday", "public resolvers and root name servers");
	for (const char *const *v = everyday_addresses; *v; v++)
		add_value(b, list, INDICATOR_IP, *v);
}

static enum indicator_type own_type(const char *value)
{
	struct addr a;
	if (strchr(value, '/'))
		return INDICATOR_CIDR;
	return addr_parse(value, strlen(value), &a) ? INDICATOR_IP : INDICATOR_DOMAIN;
}

bool benign_add_own(struct benign *b, const char *value, struct err *e)
{
	struct indicator i = {.type = own_type(value), .value = value};
	uint32_t list = add_list(b, DIAG_ERROR, "own-range", "own networks and names");
	return ruleset_add(b->b, list, &i, e) != ADDED_INVALID;
}

/* ---- MISP's warninglists: {"name", "type", "list": […], "matching_attributes": […]} ---- */

static const struct {
	const char *attribute;
	indicator_mask types;
} attributes[] = {
    {"ip-src", ADDRESSES},
    {"ip-dst", ADDRESSES},
    {"domain|ip", ADDRESSES | NAMES},
    {"ip-src|port", ADDRESSES},
    {"ip-dst|port", ADDRESSES},
    {"domain", NAMES},
    {"hostname", NAMES},
    {"hostname|port", NAMES},
    {"url", BIT(URL)},
    {"uri", BIT(URL)},
    {"link", BIT(URL)},
    {"md5", BIT(FILE_MD5)},
    {"sha1", BIT(FILE_SHA1)},
    {"sha256", BIT(FILE_SHA256)},
    {"filename", BIT(FILENAME)},
    {"email", BIT(EMAIL)},
    {"email-src", BIT(EMAIL)},
    {"email-dst", BIT(EMAIL)},
    {"user-agent", BIT(USER_AGENT)},
    {"filename|md5", BIT(FILE_MD5)},
    {"filename|sha1", BIT(FILE_SHA1)},
    {"filename|sha256", BIT(FILE_SHA256)},
};

static indicator_mask attribute_types(const struct json *list)
{
	indicator_mask all = 0;
	for (size_t i = 0; i < json_count(list); i++) {
		const char *name = json_text(json_item(list, i), NULL);
		for (size_t k = 0; name && k < sizeof(attributes) / sizeof(*attributes); k++)
			if (strcmp(attributes[k].attribute, name) == 0)
				all |= attributes[k].types;
	}
	return all ? all : NAMES | ADDRESSES | BIT(URL);
}

/* The type that an entry has: the first of those allowed that takes the value.
 * kind "hostname" covers what lies below the name, "string" only itself. */
static bool add_item(struct benign *b, uint32_t list, const char *kind, indicator_mask types, const char *value)
{
	bool below = strcmp(kind, "hostname") == 0;
	if (below && value[0] == '.')
		value++;
	if (types & NAMES)
		types = (types & ~NAMES) | (below ? BIT(DOMAIN) : BIT(HOSTNAME));
	for (indicator_mask left = types; left; left &= left - 1)
		if (add_value(b, list, (enum indicator_type)__builtin_ctzll(left), value))
			return true;
	return false;
}

static bool add_substring(struct benign *b, indicator_mask types, const char *text)
{
	if (!*text || b->substrings == SUBSTRINGS_MAX)
		return false;
	b->substring = xrealloc(b->substring, (b->substrings + 1) * sizeof(*b->substring));
	b->substring[b->substrings++] = (struct substring){.text = xstrdup(text), .types = types, .list = b->n - 1};
	return true;
}

static void add_items(struct benign *b, const struct json *root, const char *path, struct diags *d)
{
	const char *kind = json_text(json_at(root, "type"), NULL), *name = json_text(json_at(root, "name"), NULL);
	const struct json *list = json_at(root, "list");
	indicator_mask types = attribute_types(json_at(root, "matching_attributes"));
	uint32_t set = add_list(b, DIAG_WARNING, "warning-list", name ? name : path);
	size_t unused = 0;
	kind = kind ? kind : "string";
	for (size_t i = 0; i < json_count(list) && i < LIST_ITEMS_MAX; i++) {
		const char *value = json_text(json_item(list, i), NULL);
		bool used = value && (strcmp(kind, "substring") == 0 ? add_substring(b, types, value)
				      : strcmp(kind, "regex") == 0   ? false
								     : add_item(b, set, kind, types, value));
		unused += !used;
	}
	if (json_count(list) > LIST_ITEMS_MAX)
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = path}, "warning-list-entries",
			 "%zu entries; those after the first %d are not looked for", json_count(list), LIST_ITEMS_MAX);
	if (unused)
		diag_add(d, DIAG_NOTE, (struct diag_place){.file = path}, "warning-list-entries",
			 "%zu of %zu entries (type %s) fit no indicator type and are not looked for", unused,
			 json_count(list), kind);
}

bool benign_add_warninglist(struct benign *b, const char *path, struct diags *d, struct err *e)
{
	struct buf text = {0};
	struct err why = {""};
	struct json *root = NULL;
	bool ok = rulefile_slurp(path, &text, e);
	if (ok && !(root = json_read(text.p, text.n, RULEFILE_BYTES_MAX, &why)))
		ok = err_set(e, "%s: not a warning list: %s", path, why.text);
	else if (ok && json_kind(json_at(root, "list")) != JSON_KIND_LIST)
		ok = err_set(e, "%s: not a warning list: it has no \"list\"", path);
	buf_free(&text);
	if (ok)
		add_items(b, root, path, d);
	json_drop(root);
	return ok;
}

bool benign_seal(struct benign *b, struct err *e)
{
	b->r = ruleset_build(b->b, e);
	return b->r != NULL;
}

/* ---- asking ---- */

static const struct benign_list *list_of(const struct benign *b, ruleset_ref ref, size_t *number)
{
	size_t i = strtoul(ruleset_set(b->r, ref).id, NULL, 10);
	*number = i;
	return i < b->n ? &b->list[i] : NULL;
}

const struct benign_list *benign_find(const struct benign *b, enum indicator_type t, const struct canon *value,
				      const char *text)
{
	struct ruleset_hits hits = {.n = 0};
	size_t number;
	ruleset_covering(b->r, t, value, &hits);
	for (size_t i = 0; i < hits.n; i++)
		if (t != INDICATOR_DOMAIN || ruleset_indicator(b->r, hits.ref[i]).type != INDICATOR_HOSTNAME)
			return list_of(b, hits.ref[i], &number);
	for (size_t i = 0; i < b->substrings; i++)
		if (b->substring[i].types & INDICATOR_BIT(t) && strstr(text, b->substring[i].text))
			return &b->list[b->substring[i].list];
	return NULL;
}

void benign_each(const struct benign *b, benign_fn *fn, void *owner)
{
	for (ruleset_ref k = 0; k < ruleset_count(b->r, INDICATOR_NONE); k++) {
		struct indicator i = ruleset_indicator(b->r, k);
		size_t number;
		const struct benign_list *list = list_of(b, k, &number);
		if (list)
			fn(owner, list, number, i.type, i.value);
	}
}
