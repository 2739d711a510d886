/* Locals are zeroed when they come to life (-ftrivial-auto-var-init), so that a
 * forgotten one leaks nothing of the stack. For kilobytes of room in a function
 * that runs per packet or per message that is most of its time (DNS: 18 %): these
 * are marked, and whoever marks one writes each byte before it is read. */
#ifndef COMMON_SCRATCH_H
#define COMMON_SCRATCH_H

#define SCRATCH __attribute__((uninitialized))

#endif
