/* Values that people broke on purpose so that nobody clicks them ("hxxp://",
 * "bad[.]example") made whole again. Importers apply it; rule files are only
 * told what was meant, because there the author can correct it. */
#ifndef RULES_REFANG_H
#define RULES_REFANG_H

#include <stdbool.h>
#include <stddef.h>

/* Writes the repaired text to out (room for n + 1 bytes, terminated) and its
 * length to *out_n. False: nothing had to be changed (out is a copy then). */
bool refang(const char *text, size_t n, char *out, size_t *out_n);

#endif
