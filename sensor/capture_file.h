/* Capture files record by record: classic pcap and pcapng. */
#ifndef SENSOR_CAPTURE_FILE_H
#define SENSOR_CAPTURE_FILE_H

#include "sensor/capture.h"

struct capture_file;

struct capture_file *capture_file_open(const char *path, struct err *e); /* "-" = standard input */
/* The bytes of a file that the caller keeps. */
struct capture_file *capture_file_open_memory(const void *data, size_t n, struct err *e);
void capture_file_close(struct capture_file *f);

/* Fills the burst; the packets' bytes are valid until the next call. */
enum capture_result capture_file_read(struct capture_file *f, struct burst *burst, struct err *e);
bool capture_file_cut(const struct capture_file *f);

/* Of a classic file; -1 for pcapng, where each packet has its own. */
int capture_file_link_type(const struct capture_file *f);
const char *capture_file_format(const struct capture_file *f); /* "pcapng, gzip" */

#endif
