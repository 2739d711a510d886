#include "collector/partner_walk.h"

#include <stdio.h>
#include <stdlib.h>

#include "collector/partner_load.h"

struct walking {
	struct objects *objects;
	struct walker walker;
	char collection[OBJECTS_COLLECTION_MAX + 1];
	struct loaded rows[LOAD_MAX];
	char ids[LOAD_MAX][SHARED_ID_MAX + 1];
	size_t n;
	int64_t after;
	bool more;
};

static void page(struct walking *w);

static void over(struct walking *w, bool ok)
{
	w->walker.done(w->walker.arg, ok);
	free(w);
}

static bool wanted(void *arg, const struct loaded *l, const struct handling *h)
{
	struct walking *w = arg;
	struct walked one = {l->row, w->ids[l->tag], h};
	return w->walker.row(w->walker.arg, &one) && w->walker.object;
}

static void on_loaded(void *arg, bool ok, struct loaded *v, size_t n)
{
	struct walking *w = arg;
	for (size_t i = 0; ok && i < n; i++) {
		struct walked one = {v[i].row, w->ids[v[i].tag], NULL};
		if (v[i].box && w->walker.object)
			w->walker.object(w->walker.arg, &one, &v[i].box->is);
	}
	if (ok && w->more)
		page(w);
	else
		over(w, ok);
}

static void on_scan(void *arg, bool ok, const struct object_row *v, size_t n, bool more)
{
	struct walking *w = arg;
	w->more = more && n;
	w->n = 0;
	for (size_t i = 0; ok && i < n && i < LOAD_MAX; i++) {
		snprintf(w->ids[i], sizeof(w->ids[i]), "%s", v[i].id);
		w->rows[w->n++] = (struct loaded){.row = v[i].row, .handling = v[i].handling, .tag = i};
		w->after = v[i].row;
	}
	if (ok)
		load_rows(w->objects, w->rows, w->n, (struct load){wanted, on_loaded, w});
	else
		over(w, false);
}

static void page(struct walking *w)
{
	objects_scan(w->objects, w->collection, w->after, LOAD_MAX, false, (struct objects_rows_done){on_scan, w});
}

void walk_collection(struct objects *o, const char *collection, int64_t after, struct walker walker)
{
	struct walking *w = xcalloc(1, sizeof(*w));
	w->objects = o;
	w->walker = walker;
	w->after = after;
	snprintf(w->collection, sizeof(w->collection), "%s", collection);
	page(w);
}
