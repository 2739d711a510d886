#include "rules/where.h"

#include <string.h>

#define T(type) INDICATOR_BIT(INDICATOR_##type)
#define T_NAME  (T(DOMAIN) | T(HOSTNAME))
#define T_ADDR  (T(IP) | T(CIDR))

static const struct {
	const char *name;
	indicator_mask types;
} wheres[WHERE_COUNT] = {[WHERE_NONE] = {"none", 0},
#define X(id, text, mask) [WHERE_##id] = {text, mask},
			 WHERES(X)
#undef X
};

const char *where_name(enum where w)
{
	return w < WHERE_COUNT ? wheres[w].name : "none";
}

indicator_mask where_types(enum where w)
{
	return w < WHERE_COUNT ? wheres[w].types : 0;
}

/* "dns.answer" covers "dns.answer" and "dns.answer.addr", not "dns.answers". */
static bool covers(const char *prefix, size_t n, const char *name)
{
	return n && strncmp(prefix, name, n) == 0 && (name[n] == '\0' || name[n] == '.');
}

static bool told_of(enum where w)
{
	return w == WHERE_QUOTED_SRC || w == WHERE_QUOTED_DEST || w == WHERE_QUOTED_NAME || w == WHERE_SSDP_LOCATION ||
	       w == WHERE_SSDP_HOST;
}

bool where_allowed(const char *list, enum where w)
{
	if (!list)
		return !told_of(w);
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");
		const char *word = p + strspn(p, " ");
		size_t word_n = n - (size_t)(word - p);
		while (word_n && word[word_n - 1] == ' ')
			word_n--;
		if (covers(word, word_n, where_name(w)))
			return true;
		p += n + (p[n] == ',');
	}
	return false;
}

bool where_known(const char *name, size_t n)
{
	for (int w = 1; w < WHERE_COUNT; w++)
		if (covers(name, n, wheres[w].name))
			return true;
	return false;
}
