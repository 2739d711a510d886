#include "rules/export.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/text.h"
#include "rules/canon.h"
#include "rules/import.h"

void export_leave(struct export *x, const char *why)
{
	size_t i = 0;
	x->left_n++;
	while (i < x->reasons && strcmp(x->left[i].why, why) != 0)
		i++;
	if (i == EXPORT_REASONS_MAX)
		return;
	if (i == x->reasons)
		x->left[x->reasons++].why = why;
	x->left[i].n++;
}

static const char *time_text(int64_t us, char room[static CLOCK_TEXT_LEN])
{
	if (!us)
		return "";
	clock_format(us, room);
	return room;
}

/* ---- CSV (RFC 4180), as our reader takes it ---- */

/* Spreadsheets run a cell that begins with one of these as a formula. An apostrophe in
 * front makes it text (OWASP, "CSV Injection"); rulefile_csv.c takes it off again. */
static bool looks_like_formula(const char *text)
{
	return text[strspn(text, "'")] && strchr("=+-@", text[strspn(text, "'")]);
}

/* Cleaned, but for blanks and line ends, which stand between quotes. */
static void cell_text(struct export *x, const char *text)
{
	char *clean = xmalloc(4 * strlen(text) + 1);
	while (*text) {
		size_t n = strcspn(text, "\"\n\t");
		fputs(text_clean(clean, 4 * n + 1, text, n), x->out);
		text += n;
		if (*text == '"')
			fputc('"', x->out);
		if (*text)
			fputc(*text++, x->out);
	}
	free(clean);
}

static void cell(struct export *x, const char *text, const char *after)
{
	text = text ? text : "";
	const char *quote = text[strcspn(text, ",\"\n\t#")] || text[0] == ' ' ? "\"" : "";
	fprintf(x->out, "%s%s", quote, looks_like_formula(text) ? "'" : "");
	cell_text(x, text);
	fprintf(x->out, "%s%s", quote, after);
}

/* Whether the value would not come back as it is: this format has no escapes. */
static bool csv_changes(const char *value)
{
	unsigned code;
	for (size_t n = strlen(value); n; value++, n--)
		if (text_control(value, n, &code) && !strchr("\n\t", *value))
			return true;
	return false;
}

void export_csv(struct export *x)
{
	char from[CLOCK_TEXT_LEN], until[CLOCK_TEXT_LEN];
	fputs("type,value,id,severity,confidence,tlp,match,fold,labels,where,valid_from,valid_until,ref,note\n",
	      x->out);
	for (ruleset_ref k = 0; k < ruleset_count(x->r, INDICATOR_NONE); k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_indicator_in(x->r, k, &room);
		if (csv_changes(i.value)) {
			export_leave(x, "control characters in the value, which this format cannot escape");
			continue;
		}
		cell(x, indicator_type_name(i.type), ",");
		cell(x, i.value, ",");
		cell(x, i.id, ",");
		fprintf(x->out, "%s,%u,%s,%s,%s,", severity_names[i.severity], i.confidence,
			i.tlp ? tlp_names[i.tlp] : "", i.match == MATCH_PREFIX ? "prefix" : "", fold_names[i.fold]);
		cell(x, i.labels, ",");
		cell(x, i.where, ",");
		cell(x, time_text(i.valid_from_us, from), ",");
		cell(x, time_text(i.valid_until_us, until), ",");
		cell(x, i.ref, ",");
		cell(x, i.note, "\n");
		x->written++;
	}
	for (size_t k = 0; k < ruleset_allow_count(x->r); k++)
		export_leave(x, "allow entries: this format has none");
}

/* ---- our YAML ---- */

static void yaml_text(struct export *x, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	struct buf quoted = {0};
	text_quote(&quoted, text, strlen(text));
	fprintf(x->out, ", %s: %.*s", name, (int)quoted.n, (const char *)quoted.p);
	buf_free(&quoted);
}

static void yaml_head(struct export *x)
{
	struct indicator_set s = ruleset_set_at(x->r, 0);
	char until[CLOCK_TEXT_LEN];
	fprintf(x->out, "set: {version: %u", s.version);
	yaml_text(x, "id", s.id);
	yaml_text(x, "title", s.title);
	yaml_text(x, "producer", s.producer);
	if (s.tlp)
		fprintf(x->out, ", tlp: %s", tlp_names[s.tlp]);
	yaml_text(x, "releasable_to", s.releasable_to);
	yaml_text(x, "exercise", s.exercise);
	if (s.valid_until_us)
		fprintf(x->out, ", valid_until: %s", time_text(s.valid_until_us, until));
	fputs("}\n", x->out);
}

static void yaml_allow(struct export *x)
{
	for (size_t k = 0; k < ruleset_allow_count(x->r); k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_allow_at(x->r, k, &room);
		char until[CLOCK_TEXT_LEN];
		fprintf(x->out, "%s  - {type: %s", k ? "" : "allow:\n", indicator_type_name(i.type));
		yaml_text(x, "value", i.value);
		yaml_text(x, "reason", i.note);
		if (i.valid_until_us)
			fprintf(x->out, ", expires: %s", time_text(i.valid_until_us, until));
		fputs("}\n", x->out);
	}
}

void export_yaml(struct export *x)
{
	struct buf line = {0};
	yaml_head(x);
	for (ruleset_ref k = 0; k < ruleset_count(x->r, INDICATOR_NONE); k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_indicator_in(x->r, k, &room);
		char made[INDICATOR_ID_LEN];
		bool own_id = strcmp(indicator_make_id(i.type, i.value, made), i.id) != 0;
		const struct import_item item = {.type = i.type,
						 .id = own_id ? i.id : NULL,
						 .labels = i.labels,
						 .note = i.note,
						 .ref = i.ref,
						 .where = i.where,
						 .tlp = i.tlp,
						 .confidence = i.confidence,
						 .severity = (int)i.severity,
						 .match = i.match,
						 .fold = i.fold,
						 .valid_from_us = i.valid_from_us,
						 .valid_until_us = i.valid_until_us};
		line.n = 0;
		import_entry_put(&line, &item, i.value, strlen(i.value));
		fprintf(x->out, "%s%.*s", k ? "" : "indicators:\n", (int)line.n, (const char *)line.p);
		x->written++;
	}
	buf_free(&line);
	yaml_allow(x);
}

/* ---- Zeek (frameworks/intel) ---- */

static const char *const zeek_types[INDICATOR_TYPE_COUNT] = {
    [INDICATOR_IP] = "Intel::ADDR",
    [INDICATOR_CIDR] = "Intel::SUBNET",
    [INDICATOR_DOMAIN] = "Intel::DOMAIN",
    [INDICATOR_HOSTNAME] = "Intel::DOMAIN",
    [INDICATOR_URL] = "Intel::URL",
    [INDICATOR_EMAIL] = "Intel::EMAIL",
    [INDICATOR_USER_AGENT] = "Intel::SOFTWARE",
    [INDICATOR_USERNAME] = "Intel::USER_NAME",
    [INDICATOR_FILENAME] = "Intel::FILE_NAME",
    [INDICATOR_CERT_SHA1] = "Intel::CERT_HASH",
    [INDICATOR_FILE_MD5] = "Intel::FILE_HASH",
    [INDICATOR_FILE_SHA1] = "Intel::FILE_HASH",
    [INDICATOR_FILE_SHA256] = "Intel::FILE_HASH",
};

/* Zeek's reader takes \xNN for the byte (util::get_unescaped_string), a lone "-" for none,
 * and a line that begins with '#' for a comment. */
static void zeek_cell(struct export *x, const char *text, char after)
{
	unsigned code;
	if (!text || !*text)
		fputc('-', x->out);
	else if (strcmp(text, "-") == 0 || *text == '#')
		fprintf(x->out, "\\x%02x", (unsigned char)*text++);
	for (size_t n = text ? strlen(text) : 0, control = 0; n; text++, n--) {
		control = control ? control : text_control(text, n, &code);
		if (control || *text == '\\')
			fprintf(x->out, "\\x%02x", (unsigned char)*text);
		else
			fputc(*text, x->out);
		control -= control > 0;
	}
	fputc(after, x->out);
}

/* Zeek's and Maltrail's URLs have no scheme and compare without it. */
static const char *without_scheme(const struct indicator *i)
{
	const char *scheme = i->type == INDICATOR_URL ? strstr(i->value, "://") : NULL;
	return scheme ? scheme + 3 : i->value;
}

void export_zeek(struct export *x)
{
	fputs("#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\tmeta.url\n", x->out);
	for (ruleset_ref k = 0; k < ruleset_count(x->r, INDICATOR_NONE); k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_indicator_in(x->r, k, &room);
		struct indicator_set s = ruleset_set(x->r, k);
		const char *why = !zeek_types[i.type]       ? "types that Zeek's intel framework has not"
				  : i.where                 ? "limited to a place (where), which Zeek would ignore"
				  : i.match == MATCH_PREFIX ? "match: prefix; Zeek compares whole URLs"
							    : NULL;
		if (why) {
			export_leave(x, why);
			continue;
		}
		zeek_cell(x, without_scheme(&i), '\t');
		zeek_cell(x, zeek_types[i.type], '\t');
		zeek_cell(x, s.producer ? s.producer : s.id, '\t');
		zeek_cell(x, i.note, '\t');
		zeek_cell(x, i.ref, '\n');
		x->written++;
	}
}

/* ---- Suricata (rules/datasets): one type a file ---- */

static void base64(FILE *out, const char *text, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)(unsigned char)text[i] << 16;
		v |= left > 1 ? (uint32_t)(unsigned char)text[i + 1] << 8 : 0;
		v |= left > 2 ? (uint32_t)(unsigned char)text[i + 2] : 0;
		fputc(digits[v >> 18], out);
		fputc(digits[v >> 12 & 63], out);
		fputc(left > 1 ? digits[v >> 6 & 63] : '=', out);
		fputc(left > 2 ? digits[v & 63] : '=', out);
	}
}

/* Names are compared byte for byte there, so they are written as they are on the wire. */
static bool dataset_value(struct export *x, const struct indicator *i)
{
	struct canon c;
	if (!canon_rule(i->type, i->value, strlen(i->value), &c, NULL))
		return false;
	if (i->type == INDICATOR_IP || i->type == INDICATOR_FILE_MD5 || i->type == INDICATOR_FILE_SHA256)
		fputs(i->value, x->out);
	else
		base64(x->out, (const char *)c.key, c.n);
	fputc('\n', x->out);
	return true;
}

void export_suricata(struct export *x)
{
	const indicator_mask strings = INDICATOR_BIT(INDICATOR_DOMAIN) | INDICATOR_BIT(INDICATOR_HOSTNAME) |
				       INDICATOR_BIT(INDICATOR_USER_AGENT) | INDICATOR_BIT(INDICATOR_FILENAME) |
				       INDICATOR_BIT(INDICATOR_EMAIL) | INDICATOR_BIT(INDICATOR_JA4);
	const indicator_mask plain = INDICATOR_BIT(INDICATOR_IP) | INDICATOR_BIT(INDICATOR_FILE_MD5) |
				     INDICATOR_BIT(INDICATOR_FILE_SHA256);
	for (ruleset_ref k = 0; k < ruleset_count(x->r, INDICATOR_NONE); k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_indicator_in(x->r, k, &room);
		if (i.type != x->type)
			export_leave(x, "other types than --type");
		else if (!((strings | plain) & INDICATOR_BIT(i.type)))
			export_leave(x, "types that no dataset holds");
		else if (dataset_value(x, &i))
			x->written++;
	}
}

/* ---- lists: a value a line ---- */

/* Whether a reader that goes by the look of a value takes it for what it is. */
static bool told_by_look(const struct indicator *i)
{
	enum indicator_type seen = import_guess(i->value, strlen(i->value));
	return seen == i->type || (i->type == INDICATOR_HOSTNAME && seen == INDICATOR_DOMAIN);
}

/* Nothing in it that would have to be escaped, which lists cannot. */
static bool clean(const char *value)
{
	size_t n = strlen(value);
	char *shown = xmalloc(4 * n + 1);
	bool same = strcmp(text_clean(shown, 4 * n + 1, value, n), value) == 0;
	free(shown);
	return same;
}

static const char *no_line(const struct indicator *i)
{
	return i->where                   ? "limited to a place (where), which a list cannot say"
	       : i->match == MATCH_PREFIX ? "match: prefix, which a list cannot say"
	       : strchr(i->value, '#')    ? "# in the value, which begins a comment"
	       : !clean(i->value)         ? "values with control characters"
					  : NULL;
}

static void list(struct export *x, const char *(*unfit)(const struct export *x, const struct indicator *i),
		 const char *(*value_of)(const struct indicator *i))
{
	for (ruleset_ref k = 0; k < ruleset_count(x->r, INDICATOR_NONE); k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_indicator_in(x->r, k, &room);
		const char *why = unfit(x, &i);
		why = why ? why : no_line(&i);
		if (why) {
			export_leave(x, why);
			continue;
		}
		fprintf(x->out, "%s\n", value_of(&i));
		x->written++;
	}
	for (size_t k = 0; k < ruleset_allow_count(x->r); k++)
		export_leave(x, "allow entries: this format has none");
}

static const char *not_plain(const struct export *x, const struct indicator *i)
{
	if (x->type)
		return i->type == x->type ? NULL : "other types than --type";
	return told_by_look(i) ? NULL : "types that are not told by their look: --type writes one";
}

static const char *plain_value(const struct indicator *i)
{
	return i->value;
}

void export_plain(struct export *x)
{
	list(x, not_plain, plain_value);
}

/* Trails have no scheme; names stand for all below them there, too. */
static const char *not_trail(const struct export *x, const struct indicator *i)
{
	const indicator_mask trails = INDICATOR_BIT(INDICATOR_IP) | INDICATOR_BIT(INDICATOR_IP_PORT) |
				      INDICATOR_BIT(INDICATOR_DOMAIN) | INDICATOR_BIT(INDICATOR_URL);
	(void)x;
	return trails & INDICATOR_BIT(i->type) ? NULL : "types that Maltrail has no trails for, or would match wider";
}

void export_maltrail(struct export *x)
{
	list(x, not_trail, without_scheme);
}
