/* Files read through a mapping. A file that somebody cuts short meanwhile would kill the
 * process (SIGBUS); here the lost pages become zeroes and the mapping says so. */
#ifndef SENSOR_MAPPED_H
#define SENSOR_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first n bytes of fd, read-only; NULL: it cannot be mapped, or MAPPED_MAX are.
 * Takes SIGBUS; one from elsewhere ends the process as before. */
#define MAPPED_MAX 64
const uint8_t *mapped_open(int fd, size_t n);
void mapped_close(const uint8_t *p, size_t n);

/* Brings pages in ahead of their use, so that they can be prefetched. False: the
 * file does not reach that far any more. p is a multiple of the page size. */
bool mapped_bring(const uint8_t *p, size_t n);
/* These are not needed again (and come back if they are). */
void mapped_give_back(const uint8_t *p, size_t n);

/* Has a page of this mapping been found beyond the file's end? p as given by mapped_open(). */
bool mapped_broken(const uint8_t *p);

#endif
