/* The engine of the heuristics in a thread of its own, with a queue per worker. */
#ifndef SENSOR_HEURISTIC_THREAD_H
#define SENSOR_HEURISTIC_THREAD_H

#include "sensor/heuristic.h"
#include "sensor/queue.h"

struct heuristic_thread;

/* The engine is borrowed; nothing else may feed it until heuristic_thread_stop(). */
struct heuristic_thread *heuristic_thread_new(struct heuristics *engine, unsigned workers, struct err *e);
bool heuristic_thread_run(struct heuristic_thread *t, struct err *e);
struct queue *heuristic_thread_queue(struct heuristic_thread *t, unsigned worker);
/* After the workers have ended: judges all that is queued. t may be NULL. */
void heuristic_thread_stop(struct heuristic_thread *t);

#endif
