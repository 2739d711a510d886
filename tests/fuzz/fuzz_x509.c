/* A certificate as it comes from the wire.
 * For: sensor/x509.c */
#include "sensor/tls_hello.h"
#include "sensor/x509.h"
#include "tests/unit/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct parser none = {.name = "x509", .over = OVER_TCP};
	struct observed o;
	struct x509_facts facts = {0};
	struct alert_app app = {0};
	struct tls_facts tls = {0};
	observed_begin(&o, &none);
	x509_report(&o.in, (struct bytes){data, n}, &facts);
	x509_describe(&facts, &app);
	x509_report_chain(&o.in, (struct bytes){data, n}, &tls);
	observed_end(&o);
	return 0;
}
