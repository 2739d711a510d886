#include "collector/partner_load.h"

#include <assert.h>
#include <stdlib.h>

struct loading {
	struct objects *objects;
	struct loaded *v;
	size_t n;
	struct load load;
	int64_t numbers[LOAD_MAX], rows[LOAD_MAX];
	struct handling handlings[LOAD_MAX];
	bool read[LOAD_MAX];
	size_t numbers_n, rows_n;
	size_t at[LOAD_MAX]; /* rows[i] is v[at[i]] */
};

/* The caller may free or use v again in its callback. */
static void over(struct loading *l, bool ok)
{
	struct shared_box *boxes[LOAD_MAX];
	for (size_t i = 0; i < l->n; i++)
		boxes[i] = l->v[i].box;
	l->load.done(l->load.arg, ok, l->v, l->n);
	for (size_t i = 0; i < l->n; i++)
		if (boxes[i]) {
			shared_box_free(boxes[i]);
			free(boxes[i]);
		}
	for (size_t i = 0; i < l->numbers_n; i++)
		if (l->read[i])
			handling_free(&l->handlings[i]);
	free(l);
}

static size_t number_at(const struct loading *l, int64_t number)
{
	size_t i = 0;
	while (i < l->numbers_n && l->numbers[i] != number)
		i++;
	return i;
}

static void take_text(struct loading *l, struct loaded *v, struct bytes text)
{
	struct err e;
	struct json *stix = text.p ? json_read(text.p, text.n, 1u << 20, &e) : NULL;
	if (!stix)
		return;
	v->box = xcalloc(1, sizeof(*v->box));
	if (!shared_box_stored(v->box, stix, l->handlings[number_at(l, v->handling)].envelope, &e)) {
		shared_box_free(v->box);
		free(v->box);
		v->box = NULL;
		return;
	}
	v->box->is.date_added_us = v->row;
}

static void on_texts(void *arg, bool ok, const struct bytes *v, size_t n)
{
	struct loading *l = arg;
	for (size_t i = 0; ok && i < n && i < l->rows_n; i++)
		take_text(l, &l->v[l->at[i]], v[i]);
	over(l, ok);
}

static void on_handlings(void *arg, bool ok, const struct bytes *v, size_t n)
{
	struct loading *l = arg;
	struct err e;
	if (!ok) {
		over(l, false);
		return;
	}
	for (size_t i = 0; i < n && i < l->numbers_n; i++)
		l->read[i] = v[i].p && handling_read(&l->handlings[i], v[i].p, v[i].n, &e);
	for (size_t i = 0; i < l->n; i++) {
		size_t k = number_at(l, l->v[i].handling);
		if (k == l->numbers_n || !l->read[k] ||
		    (l->load.wanted && !l->load.wanted(l->load.arg, &l->v[i], &l->handlings[k])))
			continue;
		l->at[l->rows_n] = i;
		l->rows[l->rows_n++] = l->v[i].row;
	}
	if (l->rows_n)
		objects_texts(l->objects, l->rows, l->rows_n, (struct objects_texts_done){on_texts, l});
	else
		over(l, true);
}

void load_rows(struct objects *o, struct loaded *v, size_t n, struct load load)
{
	struct loading *l = xcalloc(1, sizeof(*l));
	assert(n <= LOAD_MAX);
	l->objects = o;
	l->v = v;
	l->n = n;
	l->load = load;
	for (size_t i = 0; i < n; i++) {
		v[i].box = NULL;
		if (number_at(l, v[i].handling) == l->numbers_n)
			l->numbers[l->numbers_n++] = v[i].handling;
	}
	if (n)
		objects_handlings(o, l->numbers, l->numbers_n, (struct objects_texts_done){on_handlings, l});
	else
		over(l, true);
}
