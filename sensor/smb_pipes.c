/* DCE/RPC in named pipes: a PDU may be spread over any number of writes, and several pipes may be written
 * to in turn. Only a pipe on which a PDU waits for its rest has a place here. A CLOSE gives none back: one
 * that the server refuses would take away what is still waited for. The server's next file of that name does. */
#include "sensor/smb_pipes.h"

#include <string.h>

#include "sensor/dcerpc.h"

static void leave(struct inspect *in, struct smb_pipe *p)
{
	framed_drop(in, &p->calls);
	*p = (struct smb_pipe){0};
}

static struct smb_pipe *find(struct smb_pipes *s, const uint8_t fid[static 16])
{
	for (size_t i = 0; i < SMB_PIPES_MAX; i++)
		if (s->pipe[i].touched && memcmp(s->pipe[i].fid, fid, sizeof(s->pipe[i].fid)) == 0)
			return &s->pipe[i];
	return NULL;
}

static struct smb_pipe *begin(struct inspect *in, struct smb_pipes *s, const uint8_t fid[static 16])
{
	struct smb_pipe *oldest = &s->pipe[0];
	for (size_t i = 1; i < SMB_PIPES_MAX; i++)
		if (s->pipe[i].touched < oldest->touched)
			oldest = &s->pipe[i];
	if (oldest->touched) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		leave(in, oldest);
	}
	memcpy(oldest->fid, fid, sizeof(oldest->fid));
	return oldest;
}

static bool waits(const struct framed *f)
{
	return f->kept.n || f->skip || f->joined.n;
}

bool smb_pipe_write(struct inspect *in, struct smb_pipes *s, const uint8_t fid[static 16], const uint8_t *p, size_t n)
{
	struct smb_pipe *pipe = find(s, fid);
	if (!pipe && !dcerpc_begins(p, n))
		return false;
	if (!pipe)
		pipe = begin(in, s, fid);
	pipe->touched = ++s->writes;
	bool good = dcerpc_written(in, &pipe->calls, p, n);
	if (!good || !waits(&pipe->calls))
		leave(in, pipe);
	return good;
}

void smb_pipe_forget(struct inspect *in, struct smb_pipes *s, const uint8_t fid[static 16])
{
	struct smb_pipe *pipe = find(s, fid);
	if (pipe)
		leave(in, pipe);
}

void smb_pipes_drop(struct inspect *in, struct smb_pipes *s)
{
	for (size_t i = 0; i < SMB_PIPES_MAX; i++)
		leave(in, &s->pipe[i]);
}
