/* YAML rule files. */
#ifndef RULES_RULEFILE_YAML_H
#define RULES_RULEFILE_YAML_H

#include "rules/entry.h"

/* Reads the whole text; findings, counts and entries go where s says. */
void rulefile_yaml_read(struct rule_source *s, const char *text, size_t n);

#endif
