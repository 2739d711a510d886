/* A mail or a form, in pieces: the first byte says which and their size, and where
 * a gap is; the field functions see the whole.
 * For: sensor/mime.c sensor/mime_field.c */
#include "sensor/mime.h"
#include "sensor/mime_field.h"
#include "sensor/parsers.h"
#include "tests/unit/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void address(void *ctx, const uint8_t *p, size_t n)
{
	observe(ctx, WHERE_MAIL_TO, p, n);
}

static void fields(struct inspect *in, const uint8_t *data, size_t n)
{
	char out[300];
	struct bytes value = {data, n};
	size_t cap = n % sizeof(out);
	bool cut = false;
	if (mime_param(value, "n", out, cap, &cut) > cap || mime_filename(value, "n", out, cap, &cut) > cap ||
	    mime_words(value, out, cap, &cut) > cap)
		abort();
	mime_addresses(value, address, in);
}

static void parts(struct inspect *in, struct mime *m, const uint8_t *data, size_t n, uint8_t control)
{
	size_t step = (size_t)(control >> 2) + 1;
	for (size_t at = 0; at < n; at += step) {
		mime_data(in, m, data + at, n - at < step ? n - at : step);
		if ((control & 2) && at > n / 2)
			mime_gap(in, m);
	}
	mime_end(in, m, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct observed o;
	observed_begin(&o, &parser_tftp); /* any without state */
	if (n) {
		static const char type[] = "multipart/form-data; boundary=b";
		struct bytes form = {(const uint8_t *)type, sizeof(type) - 1};
		fields(&o.in, data + 1, n - 1);
		parts(&o.in, data[0] & 1 ? mime_begin_mail(&o.in) : mime_begin_form(&o.in, form), data + 1, n - 1,
		      data[0]);
	}
	observed_end(&o);
	return 0;
}
