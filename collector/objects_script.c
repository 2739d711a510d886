/* Why it is as it is:
 *
 *  - date_added is the row's name and its score: the clock of Redis in
 *    microseconds, or one more than the last one given. It is given inside the
 *    script, so no two objects share one, whoever posts, and a reader that has
 *    seen a row never finds an earlier one appear behind it.
 *  - A member of a sorted set says all that a filter asks for and all that a
 *    manifest answers (row, spec, handling, bytes, version, id), so that pages are
 *    chosen without reading an object that does not go out.
 *  - How objects are to be handled (whom they came from, whom they are for, their
 *    markings) is the same for most objects of a producer: it is kept once, under
 *    a number that is never given again, and counted.
 *  - Reads first, writes last. The plan W says what is to be written; only
 *    finish() writes.
 *
 * A member: "row spec handling bytes version id". A version in ids:
 * "version_us:row:spec:digest", several with blanks. */
#include "collector/objects_script.h"

/* One line of Lua to a line of C; the layout program would fill lines. */
/* clang-format off */
#define L(text) text "\n"

#define COMMON \
L("local call = redis.call") \
L("local META, ROWS, LAST, OLD, IDS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]") \
L("local HANDLING, NUMBERS, REFS = KEYS[6], KEYS[7], KEYS[8]") \
L("local said = {}") /* printing a double is dear, and each row is printed several times */ \
L("local function num(n)") \
L("  local text = said[n]") \
L("  if not text then") \
L("    text = string.format('%.0f', n)") \
L("    said[n] = text") \
L("  end") \
L("  return text") \
L("end") \
L("local W = {last = {}, old = {}, unlast = {}, unold = {}, rows = {}, unrows = {}, ids = {}, refs = {}, texts = {}, meta = {}}") \
L("local function versions(text)") \
L("  local list = {}") \
L("  for v, row, spec, digest in string.gmatch(text or '', '(%-?%d+):(%d+):(%d+):(%x+)') do") \
L("    list[#list + 1] = {v = tonumber(v), row = tonumber(row), spec = tonumber(spec), digest = digest}") \
L("  end") \
L("  return list") \
L("end") \
L("local function versions_text(list)") \
L("  local out = {}") \
L("  for i, x in ipairs(list) do out[i] = num(x.v) .. ':' .. num(x.row) .. ':' .. num(x.spec) .. ':' .. x.digest end") \
L("  return table.concat(out, ' ')") \
L("end") \
L("local function above(a, b) return a.spec > b.spec or (a.spec == b.spec and a.v > b.v) end") \
L("local function top(list)") \
L("  local best") \
L("  for _, x in ipairs(list) do if not best or above(x, best) then best = x end end") \
L("  return best") \
L("end") \
L("local function find(row)") \
L("  local n = num(row)") \
L("  return W.last[row] or W.old[row] or call('ZRANGEBYSCORE', LAST, n, n)[1] or call('ZRANGEBYSCORE', OLD, n, n)[1]") \
L("end") \
L("local function take(row)") /* out of where it is; its member */ \
L("  local m = W.last[row] or W.old[row]") \
L("  W.last[row], W.old[row] = nil, nil") \
L("  local n = num(row)") \
L("  local had = call('ZRANGEBYSCORE', LAST, n, n)[1]") \
L("  if had then W.unlast[#W.unlast + 1] = had end") \
L("  local kept = call('ZRANGEBYSCORE', OLD, n, n)[1]") \
L("  if kept then W.unold[#W.unold + 1] = kept end") \
L("  return m or had or kept") \
L("end") \
L("local function count(handling, by) W.refs[handling] = (W.refs[handling] or 0) + by end") \
L("local function drop(row)") \
L("  local m = take(row)") \
L("  if m then count(string.match(m, '^%d+ %d+ (%d+) '), -1) end") \
L("  W.rows[row] = nil") \
L("  W.unrows[#W.unrows + 1] = num(row)") \
L("end") \
L("local function remaining(id, list)") /* after drops: the top of what is left is the last */ \
L("  W.ids[id] = versions_text(list)") \
L("  local best = top(list)") \
L("  if best and not W.last[best.row] then") \
L("    local n = num(best.row)") \
L("    if W.old[best.row] or not call('ZRANGEBYSCORE', LAST, n, n)[1] then W.last[best.row] = take(best.row) end") \
L("  end") \
L("end") \
L("local function each(list, width, fn)") /* in calls of bounded length */ \
L("  for i = 1, #list, width do fn(unpack(list, i, math.min(i + width - 1, #list))) end") \
L("end") \
L("local function pairs_of(map, swap)") \
L("  local out = {}") \
L("  for row, value in pairs(map) do") \
L("    out[#out + 1] = swap and num(row) or (type(row) == 'number' and num(row) or row)") \
L("    out[#out + 1] = value") \
L("  end") \
L("  return out") \
L("end") \
L("local function finish()") \
L("  local names, had, gone, refs = {}, {}, {}, {}") \
L("  for h, by in pairs(W.refs) do if by ~= 0 then names[#names + 1] = h end end") \
L("  for i = 1, #names, 500 do") \
L("    local part = call('HMGET', REFS, unpack(names, i, math.min(i + 499, #names)))") \
L("    for j = 1, #part do had[i + j - 1] = tonumber(part[j]) or 0 end") \
L("  end") \
L("  for i, h in ipairs(names) do") \
L("    local n = had[i] + W.refs[h]") \
L("    if n > 0 then") \
L("      refs[#refs + 1] = h") \
L("      refs[#refs + 1] = num(n)") \
L("    else") \
L("      local text = call('HGET', HANDLING, h)") \
L("      gone[#gone + 1] = {h, text and redis.sha1hex(text) or ''}") \
L("    end") \
L("  end") \
L("  local ids, unids = {}, {}") \
L("  for id, text in pairs(W.ids) do") \
L("    if text == '' then unids[#unids + 1] = id else ids[#ids + 1] = id; ids[#ids + 1] = text end") \
L("  end") \
L("  each(W.unlast, 1000, function(...) call('ZREM', LAST, ...) end)") \
L("  each(W.unold, 1000, function(...) call('ZREM', OLD, ...) end)") \
L("  each(W.unrows, 1000, function(...) call('HDEL', ROWS, ...) end)") \
L("  each(unids, 1000, function(...) call('HDEL', IDS, ...) end)") \
L("  each(pairs_of(W.rows), 1000, function(...) call('HSET', ROWS, ...) end)") \
L("  each(pairs_of(W.last, true), 1000, function(...) call('ZADD', LAST, ...) end)") \
L("  each(pairs_of(W.old, true), 1000, function(...) call('ZADD', OLD, ...) end)") \
L("  each(ids, 1000, function(...) call('HSET', IDS, ...) end)") \
L("  for h, text in pairs(W.texts) do") \
L("    call('HSET', HANDLING, h, text)") \
L("    call('HSET', NUMBERS, redis.sha1hex(text), h)") \
L("  end") \
L("  each(refs, 1000, function(...) call('HSET', REFS, ...) end)") \
L("  for _, x in ipairs(gone) do") \
L("    call('HDEL', REFS, x[1])") \
L("    call('HDEL', HANDLING, x[1])") \
L("    call('HDEL', NUMBERS, x[2])") \
L("  end") \
L("  each(pairs_of(W.meta), 1000, function(...) call('HSET', META, ...) end)") \
L("end") \
L("local function numbers(texts, kept)") /* the numbers of these texts; new ones are planned */ \
L("  local shas, out = {}, {}") \
L("  for i, text in ipairs(texts) do shas[i] = redis.sha1hex(text) end") \
L("  local known = #shas > 0 and call('HMGET', NUMBERS, unpack(shas)) or {}") \
L("  local next = tonumber(call('HGET', META, 'handling')) or 0") \
L("  local room = kept - call('HLEN', HANDLING)") \
L("  for i, text in ipairs(texts) do") \
L("    out[i] = known[i]") \
L("    if not out[i] then") \
L("      if room < 1 then return nil end") \
L("      next, room = next + 1, room - 1") \
L("      out[i] = num(next)") \
L("      W.texts[out[i]] = text") \
L("    end") \
L("  end") \
L("  W.meta.handling = num(next)") \
L("  return out") \
L("end")

/* Most objects are new: for one that is, nothing is looked up, planned or moved, and what
 * it writes is put together at once. A name that comes twice in a call takes the long way. */
static const char put_text[] =
COMMON
L("local WIDTH = 6")
L("local kept, texts, n = tonumber(ARGV[1]), {}, tonumber(ARGV[3])")
L("for i = 1, n do texts[i] = ARGV[3 + i] end")
L("local handling = numbers(texts, tonumber(ARGV[2]))")
L("if not handling then return redis.error_reply('HANDLINGS too many ways to handle objects are kept') end")
L("local base, objects = 3 + n, (#ARGV - 3 - n) / WIDTH")
L("local names, lists, first, twice = {}, {}, {}, {}")
L("for i = 1, objects do")
L("  local id = ARGV[base + (i - 1) * WIDTH + 1]")
L("  names[i] = id")
L("  if first[id] then twice[id] = true else first[id] = i end")
L("end")
L("local had = call('HMGET', IDS, unpack(names))")
L("local card, clock = call('ZCARD', LAST), call('TIME')")
L("local now, last = clock[1] * 1000000 + clock[2], tonumber(call('HGET', META, 'last')) or 0")
L("local out, said_of, uses = {card}, {}, {}")
L("local rows, members, ids, taken = {}, {}, {}, {}") /* of the new ones */
L("local format = string.format")
L("local function said(text)") /* what many objects say alike is read once */
L("  local spec, h, mutable, row = string.match(text, '^(%d+) (%d+) ([01]) (%d*)$')")
L("  local x = {spec = tonumber(spec), specs = spec, h = handling[tonumber(h)], mutable = mutable == '1', row = row}")
L("  said_of[text] = x")
L("  return x")
L("end")
L("local function row_of(given)")
L("  if given == '' then")
L("    last = last + 1")
L("    if last < now then last = now end")
L("    return last")
L("  end")
L("  local row = tonumber(given)")
L("  while W.rows[row] or taken[row] or call('HEXISTS', ROWS, num(row)) == 1 do row = row + 1 end")
L("  last = math.max(last, row)")
L("  return row")
L("end")
L("local function known(list, v, spec, digest, mutable)")
L("  local hit")
L("  for _, x in ipairs(list) do")
L("    if not mutable or (x.v == v and x.spec == spec) then")
L("      if x.digest == digest then return x, true end")
L("      hit = hit or x")
L("    end")
L("  end")
L("  return hit, false")
L("end")
L("local function add(id, v, vtext, s, digest, json)")
L("  local list = lists[id] or versions(had[first[id]])")
L("  lists[id] = list")
L("  local hit, same = known(list, v, s.spec, digest, s.mutable)")
L("  if hit then return same and 2 or 3, num(hit.row) end")
L("  local row = row_of(s.row)")
L("  local x = {v = v or row, row = row, spec = s.spec, digest = digest}")
L("  local member = table.concat({num(row), s.specs, s.h, #json, vtext, id}, ' ')")
L("  local best = top(list)")
L("  if not best or above(x, best) then")
L("    if best then W.old[best.row] = take(best.row) end")
L("    W.last[row] = member")
L("    if not best then out[1] = out[1] + 1 end")
L("  else")
L("    W.old[row] = member")
L("  end")
L("  W.rows[row] = json")
L("  count(s.h, 1)")
L("  list[#list + 1] = x")
L("  while #list > kept do")
L("    local low = 1")
L("    for j, y in ipairs(list) do if above(list[low], y) then low = j end end")
L("    drop(list[low].row)")
L("    table.remove(list, low)")
L("  end")
L("  W.ids[id] = versions_text(list)")
L("  return 1, num(row)")
L("end")
L("local fresh = 0")
L("for i = 1, objects do")
L("  local at = base + (i - 1) * WIDTH")
L("  local id, v, vtext, digest, json = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 5], ARGV[at + 6]")
L("  local s = said_of[ARGV[at + 4]] or said(ARGV[at + 4])")
L("  if had[i] or twice[id] or s.row ~= '' then")
L("    local code, row = add(id, tonumber(v), vtext, s, digest, json)")
L("    out[#out + 1] = code")
L("    out[#out + 1] = row")
L("  else")
L("    local number = row_of('')")
L("    local row = format('%.0f', number)")
L("    taken[number] = true")
L("    local k = 2 * fresh + 1")
L("    fresh = fresh + 1")
L("    rows[k], rows[k + 1] = row, json")
L("    members[k], members[k + 1] = row, row .. ' ' .. s.specs .. ' ' .. s.h .. ' ' .. #json .. ' ' .. vtext .. ' ' .. id")
L("    ids[k], ids[k + 1] = id, (v == '' and row or v) .. ':' .. row .. ':' .. s.specs .. ':' .. digest")
L("    uses[s.h] = (uses[s.h] or 0) + 1")
L("    out[#out + 1] = 1")
L("    out[#out + 1] = row")
L("  end")
L("end")
L("out[1] = out[1] + fresh")
L("for h, by in pairs(uses) do count(h, by) end")
L("W.meta.last = num(last)")
L("for h in pairs(W.texts) do if not W.refs[h] then W.texts[h] = nil end end")
L("finish()")
L("each(rows, 1000, function(...) call('HSET', ROWS, ...) end)")
L("each(members, 1000, function(...) call('ZADD', LAST, ...) end)")
L("each(ids, 1000, function(...) call('HSET', IDS, ...) end)")
L("return out");

static const char scan_text[] =
L("local from, n = '(' .. ARGV[1], ARGV[2]")
L("local function rows(key) return redis.call('ZRANGEBYSCORE', key, from, '+inf', 'LIMIT', 0, n) end")
L("return {rows(KEYS[3]), ARGV[3] == '1' and rows(KEYS[4]) or {}}");

static const char find_text[] =
COMMON
L("local out, had = {}, call('HMGET', IDS, unpack(ARGV))")
L("for i = 1, #ARGV do")
L("  out[i] = {}")
L("  for _, x in ipairs(versions(had[i])) do out[i][#out[i] + 1] = find(x.row) end")
L("end")
L("return out");

static const char delete_text[] =
COMMON
L("local id, list, stay, wanted, gone = ARGV[1], versions(call('HGET', IDS, ARGV[1])), {}, {}, 0")
L("for i = 2, #ARGV do wanted[ARGV[i]] = true end")
L("for _, x in ipairs(list) do")
L("  if wanted.all or wanted[num(x.row)] then")
L("    drop(x.row)")
L("    gone = gone + 1")
L("  else")
L("    stay[#stay + 1] = x")
L("  end")
L("end")
L("if gone == 0 then return 0 end")
L("remaining(id, stay)")
L("finish()")
L("return gone");

static const char handle_text[] =
COMMON
L("local id, row, text = ARGV[2], ARGV[3], ARGV[4]")
L("local there")
L("for _, x in ipairs(versions(call('HGET', IDS, id))) do if num(x.row) == row then there = x end end")
L("if not there then return 0 end")
L("local set = call('ZSCORE', LAST, find(there.row) or '') and 'last' or 'old'")
L("local m = take(there.row)")
L("local a, h, b = string.match(m or '', '^(%d+ %d+ )(%d+)( .*)$')")
L("if not a then return 0 end")
L("local new = numbers({text}, tonumber(ARGV[1]))")
L("if not new then return redis.error_reply('HANDLINGS too many ways to handle objects are kept') end")
L("if new[1] == h then return 1 end")
L("count(h, -1)")
L("count(new[1], 1)")
L("W[set][there.row] = a .. new[1] .. b")
L("finish()")
L("return 1");

static const char renew_text[] =
COMMON
L("local id, row, text = ARGV[2], ARGV[3], ARGV[4]")
L("local list = versions(call('HGET', IDS, id))")
L("local there")
L("for _, x in ipairs(list) do if num(x.row) == row then there = x end end")
L("local json = there and call('HGET', ROWS, row)")
L("if not json then return 0 end")
L("local set = call('ZSCORE', LAST, find(there.row) or '') and 'last' or 'old'")
L("local m = take(there.row)")
L("local spec, h, version, rest = string.match(m or '', '^%d+ (%d+) (%d+) (%d+ %S+)( .*)$')")
L("if not spec then return 0 end")
L("local new = numbers({text}, tonumber(ARGV[1]))")
L("if not new then return redis.error_reply('HANDLINGS too many ways to handle objects are kept') end")
L("local clock = call('TIME')")
L("local now = math.max((tonumber(call('HGET', META, 'last')) or 0) + 1, clock[1] * 1000000 + clock[2])")
L("count(h, -1)")
L("count(new[1], 1)")
L("W.unrows[1] = row")
L("W.rows[now] = json")
L("W[set][now] = num(now) .. ' ' .. spec .. ' ' .. new[1] .. ' ' .. version .. rest")
L("if string.sub(version, -2) == ' -' then there.v = now end") /* its version is its row */
L("there.row = now")
L("W.ids[id] = versions_text(list)")
L("W.meta.last = num(now)")
L("finish()")
L("return num(now)");

static const char forget_text[] =
COMMON
L("local gone, n = 0, tonumber(ARGV[1])")
L("if n < 1 then return 0 end")
L("for _, m in ipairs(call('ZRANGE', LAST, 0, n - 1)) do")
L("  local id = string.match(m, ' (%S+)$')")
L("  for _, x in ipairs(versions(call('HGET', IDS, id))) do")
L("    drop(x.row)")
L("    gone = gone + 1")
L("  end")
L("  W.ids[id] = ''")
L("end")
L("W.meta.forgotten = num((tonumber(call('HGET', META, 'forgotten')) or 0) + gone)")
L("finish()")
L("return gone");
/* clang-format on */

const char *const objects_script_text[OBJECTS_SCRIPT_COUNT] = {
    [OBJECTS_PUT] = put_text,       [OBJECTS_SCAN] = scan_text,     [OBJECTS_FIND] = find_text,
    [OBJECTS_DELETE] = delete_text, [OBJECTS_HANDLE] = handle_text, [OBJECTS_RENEW] = renew_text,
    [OBJECTS_FORGET] = forget_text,
};
