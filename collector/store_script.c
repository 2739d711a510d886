/* Why the flush script is as it is (each point was measured to matter):
 *
 *  - compare-and-set on the sensor's mark first: a resent, reordered or zombie
 *    flush changes nothing and learns the mark;
 *  - all reads before all writes: a script is not atomic under errors, so every
 *    key is read, and with that checked for its type and its place, before
 *    the first write. After that only out-of-memory could stop it, and Redis
 *    decides that at the first write;
 *  - absolute values: a transaction that is applied twice by a damaged AOF
 *    leaves the same numbers;
 *  - all keys carry one tag: one slot in a cluster.
 *
 * Times compare as text: RFC 3339 in UTC with a fixed number of digits sorts as
 * time does. What the script finds of the wrong type among the shared keys ends
 * it before any write; a single group of the wrong type is no reason to stop a
 * sensor: its events go into the stream as a loss with their JSON, and the key's
 * name goes back to the collector. */
#include "collector/store_script.h"

#define L(text) text "\n"

static const char flush_text[] = L(
    "local call, P, sensor, prev, hi, now = redis.call, ARGV[1], ARGV[2], ARGV[4], ARGV[5], ARGV[6]")
    L("local stream_max, closed_ttl, top_max = ARGV[7], ARGV[8], tonumber(ARGV[12])")
	L("local HEAD, WIDTH, FIELDS_MAX, EPOCHS_MAX = 12, 28, 2000, 8")
	    L("local levels = {'low', 'medium', 'high', 'critical'}") L(
		"local rank = {low = 0, medium = 1, high = 2, critical = 3}") L("local mine = 'sensor:' .. sensor")
		L("local mark_field = sensor .. ':' .. ARGV[3]") L("local mark = call('HGET', KEYS[1], mark_field)") L(
		    "if (mark or '0') ~= prev then return {0, mark or '0'} end") L("")
		    L("local function num(x) return tonumber(x) or 0 end") L(
			"local function text(x) return string.format('%.0f', x) end") L("local function ms(t)")
			L("  local y, m, d, h, i, s, f = string.match(t or '', "
			  "'^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.(%d%d%d)')") L("  if not y then return '0' end") L(
			    "  y, m = tonumber(y), tonumber(m)") L("  if m <= 2 then y, m = y - 1, m + 12 end")
			    L("  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400)")
				L("      + math.floor((153 * (m - 3) + 2) / 5) + d - 719469")
				    L("  return text((((days * 24 + h) * 60 + i) * 60 + s) * 1000 + f)") L("end") L("")
    /* The sensor's dead epochs: a mark is needed only as long as its spool lives. */
    L("local dead = {}") L("if not mark then") L("  local cursor, seen = '0', 0") L("  repeat") L(
	"    local page = call('HSCAN', KEYS[1], cursor, 'MATCH', sensor .. ':*', 'COUNT', 1000)")
	L("    cursor = page[1]") L("    for i = 1, #page[2], 2 do") L("      seen = seen + 1") L(
	    "      if seen >= EPOCHS_MAX then dead[#dead + 1] = page[2][i] end") L("    end") L("  until cursor == '0'")
	    L("end") L("") L("call('XLEN', P .. 'alerts')") L("call('ZCARD', P .. 'open')") L("for i = 1, 4 do "
											      "call('ZCARD', P .. "
											      "'severity:' .. "
											      "levels[i]) end") L("") L(
		"local groups, order, entries, sums = {}, {}, {}, {}") L("local top = {indicator = {}, asset = {}}")
		L("local conflicts, conflict_key = 0, ''") L("local function count(field, n) sums[field] = "
							     "(sums[field] or 0) + n end") L("") L(
		    "local function group(id)") L("  local key = P .. 'alert:' .. id") L("  local v = "
											 "redis.pcall('HMGET', key, "
											 "'state', 'severity', 'n', "
											 "'first_seen', 'last_seen', "
											 "'episode',")
		    L("      'episode_n', 'peer', 'skew_ms', mine)") L("  if v.err then") L("    if not "
											    "string.find(v.err, "
											    "'WRONGTYPE', 1, true) "
											    "then return nil, v end") L(
			"    conflicts, conflict_key = conflicts + 1, key")
			L("    return {wrong = true}") L("  end") L("  if not v[1] or not v[4] or not v[5] then return "
								    "{id = id, key = key, n = 0, mine = 0, episode_n = "
								    "0} end") L(
			    "  return {id = id, key = key, state = v[1], rank = rank[v[2]] or 0, was = rank[v[2]] or "
			    "0, n = num(v[3]),") L("      first = v[4], last = v[5], episode = num(v[6]), episode_n = "
						   "num(v[7]), peer = v[8],")
			    L("      skew = num(v[9]), mine = num(v[10]), stranger = not v[10]}") L("end") L(
				"") L("local function entry(op, reason, g, b, n)") L("  entries[#entries + 1] = {op = "
										     "op, reason = reason, b = b, n = "
										     "n or g.n, id = g.id, rank = "
										     "g.rank,") L("      first = "
												  "g.first, last = "
												  "g.last, episode = "
												  "g.episode}")
				L("end") L("") L("local function begin(g, b, n, level)") L("  g.state, g.rank, "
											   "g.episode, g.first, g.last "
											   "= 'new', level, 1, ARGV[b "
											   "+ 5], ARGV[b + 6]") L(
				    "  g.last_ms, g.start, g.fresh, g.n, g.episode_n = ARGV[b + 7], ARGV[b + 5], b, n, "
				    "n") L("  g.skew, g.open = 0, true") L("  entry('new', '', g, b)") L("end") L("")
				    L("local function continue(g, b, n, level)") L("  local why, op, before = {}, nil, "
										   "g.n") L("  if g.state ~= "
											    "'false_positive' then") L(
					"    if g.state == 'closed' then why[1] = 'closed' elseif g.last < ARGV[b + 8] "
					"then why[1] = 'gap' end") L("    if why[1] then op, g.episode, g.episode_n, "
								     "g.start = 'reopened', g.episode + 1, 0, ARGV[b + "
								     "5] end")
					L("    if g.state == 'closed' then g.state, g.open, g.persist = 'new', true, "
					  "true end") L("    if g.stranger then why[#why + 1] = 'sensor' end") L("    "
														 "if "
														 "level"
														 " > "
														 "g."
														 "rank "
														 "then "
														 "why[#"
														 "why "
														 "+ 1] "
														 "= "
														 "'seve"
														 "rity'"
														 " end") L("    if #text(before + n) > #text(before) then why[#why + 1] = 'count' end") L(
					    "  end") L("  g.n, g.episode_n = before + n, g.episode_n + n") L("  if "
													     "level > "
													     "g.rank "
													     "then "
													     "g.rank = "
													     "level "
													     "end") L("  if ARGV[b + 5] < g.first then g.first = ARGV[b + 5] end") L("  if ARGV[b + 6] >= g.last then")
					    L("    g.last, g.last_ms = ARGV[b + 6], ARGV[b + 7]") L("    g.event = "
												    "ARGV[b + 27] ~= "
												    "'' and ARGV[b + "
												    "27] or ARGV[b + "
												    "26]") L("  end") L("  if why[1] then entry(op or 'escalated', table.concat(why, ','), g, b) end") L(
						"end") L("") L("local function peers(g, b)")
						L("  for p in string.gmatch(ARGV[b + 28], '%S+') do") L("    if not "
													"g.peer then "
													"g.peer, "
													"g.first_peer "
													"= p, true") L("    elseif p ~= g.peer then") L("      g.more = g.more or {g.peer}") L(
						    "      g.more[#g.more + 1] = p") L("    end") L("  end")
						    L("end") L(
							"") L("for b = HEAD, #ARGV - WIDTH, WIDTH do") L("  local id, "
													 "n, level = "
													 "ARGV[b + 1], "
													 "num(ARGV[b + "
													 "3]), "
													 "num(ARGV[b + "
													 "4])") L("  "
														  "if "
														  "ARGV"
														  "[b "
														  "+ "
														  "2] "
														  "== "
														  "'1' "
														  "the"
														  "n") L("    entry('loss', ARGV[b + 25], {id = id, rank = level, first = ARGV[b + 5], last = ARGV[b + 6]}, b, n)")
							L("    count('loss', n)") L("  else") L("    local g, err = "
												"groups[id], nil") L(
							    "    if not g then") L("      g, err = group(id)")
							    L("      if err then return err end") L("      groups[id] "
												    "= g") L(
								"      order[#order + 1] = g") L("    end")
								L("    count('total', n)") L("    count('severity:' .. "
											     "levels[level + 1], n)") L("    count(mine, n)") L(
								    "    count('set:' .. ARGV[b + 10], n)") L("    if "
													      "g.wrong "
													      "then") L("      count('conflict', n)")
								    L("      entry('loss', 'wrong type of key', {id = "
								      "id, rank = level, first = ARGV[b + 5], last = "
								      "ARGV[b + 6]}, b, n)") L("    else") L(
									"      if g.state then continue(g, b, n, "
									"level) else begin(g, b, n, level) end")
									L("      g.mine, g.stranger = g.mine + n, "
									  "false") L("      if num(ARGV[b + 9]) > "
										     "g.skew then g.skew, g.new_skew = "
										     "num(ARGV[b + 9]), true end") L(" "
														     " "
														     " "
														     " "
														     " "
														     " "
														     "p"
														     "e"
														     "e"
														     "r"
														     "s"
														     "("
														     "g"
														     ","
														     " "
														     "b"
														     ")") L("      local i, a = ARGV[b + 10] .. ':' .. ARGV[b + 12], ARGV[b + 18]") L(
									    "      top.indicator[i] = "
									    "(top.indicator[i] or 0) + n") L("      if "
													     "a ~= '' "
													     "then "
													     "top."
													     "asset[a] "
													     "= "
													     "(top."
													     "asset[a] "
													     "or 0) + "
													     "n end") L("    end")
									    L("  end") L(
										"end") L("") L("for _, g in "
											       "ipairs(order) do") L(" "
														     " "
														     "i"
														     "f"
														     " "
														     "g"
														     "."
														     "m"
														     "o"
														     "r"
														     "e"
														     " "
														     "t"
														     "h"
														     "e"
														     "n") L("    local magic = redis.pcall('GETRANGE', g.key .. ':peers', 0, 3)")
										L("    if type(magic) ~= 'string' or "
										  "(magic ~= '' and magic ~= 'HYLL') "
										  "then") L("      conflicts, "
											    "conflict_key, g.more = "
											    "conflicts + 1, g.key .. "
											    "':peers', nil") L("    "
													       "end") L("  end") L("end") L(
										    "") L("local function rollup(key, "
											  "ttl)") L("  local names, "
												    "out = "
												    "{'set:other', "
												    "'sensor:other'}, "
												    "{}")
										    L(
											"  for f in pairs(sums) do "
											"names[#names + 1] = f end")
											L("  local had, size, now_n = "
											  "call('HMGET', key, "
											  "unpack(names)), "
											  "call('HLEN', key), {}") L(" "
														     " "
														     "n"
														     "o"
														     "w"
														     "_"
														     "n"
														     "["
														     "'"
														     "s"
														     "e"
														     "t"
														     ":"
														     "o"
														     "t"
														     "h"
														     "e"
														     "r"
														     "'"
														     "]"
														     ","
														     " "
														     "n"
														     "o"
														     "w"
														     "_"
														     "n"
														     "["
														     "'"
														     "s"
														     "e"
														     "n"
														     "s"
														     "o"
														     "r"
														     ":"
														     "o"
														     "t"
														     "h"
														     "e"
														     "r"
														     "'"
														     "]"
														     " "
														     "="
														     " "
														     "h"
														     "a"
														     "d"
														     "["
														     "1"
														     "]"
														     ","
														     " "
														     "h"
														     "a"
														     "d"
														     "["
														     "2"
														     "]") L("  for i = 3, #names do") L(
											    "    local f, kind = "
											    "names[i], "
											    "string.match(names[i], "
											    "'^(%a+):')")
											    L("    if not had[i] and "
											      "size >= FIELDS_MAX and "
											      "(kind == 'set' or kind "
											      "== 'sensor') then f = "
											      "kind .. ':other'") L(
												"    else now_n[f] = "
												"had[i] end") L("    "
														"now_n["
														"f] = "
														"num("
														"now_n["
														"f]) + "
														"sums["
														"names["
														"i]]")
												L("  end") L("  for f, "
													     "n in "
													     "pairs("
													     "now_n) "
													     "do") L(" "
														     " "
														     " "
														     " "
														     "i"
														     "f"
														     " "
														     "n"
														     " "
														     "t"
														     "h"
														     "e"
														     "n"
														     " "
														     "o"
														     "u"
														     "t"
														     "["
														     "#"
														     "o"
														     "u"
														     "t"
														     " "
														     "+"
														     " "
														     "1"
														     "]"
														     " "
														     "="
														     " "
														     "f"
														     ";"
														     " "
														     "o"
														     "u"
														     "t"
														     "["
														     "#"
														     "o"
														     "u"
														     "t"
														     " "
														     "+"
														     " "
														     "1"
														     "]"
														     " "
														     "="
														     " "
														     "t"
														     "e"
														     "x"
														     "t"
														     "("
														     "n"
														     "u"
														     "m"
														     "("
														     "n"
														     ")"
														     ")"
														     " "
														     "e"
														     "n"
														     "d") L(
												    "  end") L("  "
													       "return "
													       "{key = "
													       "key, "
													       "ttl = "
													       "ttl, "
													       "fresh "
													       "= size "
													       "== 0, "
													       "out = "
													       "out}") L("end") L("local rollups = {}")
												    L("if next(sums) "
												      "then") L(
													"  rollups = "
													"{rollup(P .. "
													"'minute:' .. "
													"ARGV[9], "
													"172800), "
													"rollup(P .. "
													"'hour:' .. "
													"ARGV[10], "
													"5184000),") L("      rollup(P .. 'day:' .. ARGV[11], 34560000)}")
													L("end") L("loc"
														   "al "
														   "top"
														   "s "
														   "= "
														   "{}") L(
													    "for kind, "
													    "list in "
													    "pairs(top)"
													    " do") L(" "
														     " "
														     "l"
														     "o"
														     "c"
														     "a"
														     "l"
														     " "
														     "t"
														     " "
														     "="
														     " "
														     "{"
														     "k"
														     "e"
														     "y"
														     " "
														     "="
														     " "
														     "P"
														     " "
														     "."
														     "."
														     " "
														     "'"
														     "t"
														     "o"
														     "p"
														     ":"
														     "'"
														     " "
														     "."
														     "."
														     " "
														     "k"
														     "i"
														     "n"
														     "d"
														     " "
														     "."
														     "."
														     " "
														     "'"
														     ":"
														     "'"
														     " "
														     "."
														     "."
														     " "
														     "A"
														     "R"
														     "G"
														     "V"
														     "["
														     "1"
														     "1"
														     "]"
														     ","
														     " "
														     "o"
														     "u"
														     "t"
														     " "
														     "="
														     " "
														     "{"
														     "}"
														     "}") L("  local names = {}")
													    L("  for "
													      "name in "
													      "pairs("
													      "list) "
													      "do "
													      "names[#"
													      "names + "
													      "1] = "
													      "name "
													      "end") L("  if names[1] then") L(
														"    "
														"local "
														"had = "
														"call('"
														"ZMSCOR"
														"E', "
														"t.key,"
														" unpac"
														"k("
														"names)"
														")")
														L("    "
														  "t."
														  "size"
														  " = "
														  "call"
														  "('"
														  "ZCAR"
														  "D', "
														  "t."
														  "key"
														  ")") L("    for i, name in ipairs(names) do") L(
														    "  "
														    "  "
														    "  "
														    "t."
														    "ou"
														    "t["
														    "#t"
														    ".o"
														    "ut"
														    " +"
														    " 1"
														    "] "
														    "= "
														    "te"
														    "xt"
														    "(n"
														    "um"
														    "(h"
														    "ad"
														    "[i"
														    "])"
														    " +"
														    " l"
														    "is"
														    "t["
														    "na"
														    "me"
														    "]"
														    ")") L("      t.out[#t.out + 1] = name")
														    L("    end") L(
															"    tops[#tops + 1] = t")
															L("  end") L(
															    "end")
															    L("")
    /* Nothing is read below this line. */
    L("local static = {'set', 10, 'set_version', 11, 'indicator', 12, 'type', 13, 'value', 14, 'where', 15,") L(
	"    'src', 16, 'dest', 17, 'endpoint', 18, 'app', 19, 'tlp', 20, 'producer', 21, 'exercise', 22,")
	L("    'tenant', 23, 'fold', 24}") L("local function describe(out, b, last)") L(
	    "  for i = 1, last * 2, 2 do") L("    local v = ARGV[b + static[i + 1]]")
	    L("    if v ~= '' then out[#out + 1] = static[i]; out[#out + 1] = v end") L("  end") L("end") L(
		"local open, by_level, gone = {}, {{}, {}, {}, {}}, {{}, {}, {}, {}}") L("for _, g in ipairs(order) do")
		L("  if not g.wrong then") L("    local w = {'state', g.state, 'severity', levels[g.rank + 1], 'n', "
					     "text(g.n), 'first_seen', g.first,") L(
		    "        'last_seen', g.last, 'episode', text(g.episode), 'episode_n', text(g.episode_n)}")
		    L("    local function set(f, v) w[#w + 1] = f; w[#w + 1] = v end") L(
			"    if g.start then set('episode_start', g.start) end") L("    set('updated', now)")
			L("    if g.first_peer then set('peer', g.peer) end") L(
			    "    if g.new_skew then set('skew_ms', text(g.skew)) end") L("    set(mine, text(g.mine))")
			    L("    if g.fresh then") L("      describe(w, g.fresh, 15)") L(
				"      set('event', ARGV[g.fresh + 26])")
				L("      if not g.event and ARGV[g.fresh + 27] ~= '' then g.event = ARGV[g.fresh + 27] "
				  "end") L("    end") L(
				    "    if g.event and g.event ~= '' then set('last_event', g.event) end")
				    L("    call('HSET', g.key, unpack(w))") L("    if g.more then") L(
					"      for i = 1, #g.more, 200 do")
					L("        call('PFADD', g.key .. ':peers', unpack(g.more, i, math.min(i + "
					  "199, #g.more)))") L("      end") L("    end") L("    if g.persist then") L(
					    "      call('PERSIST', g.key)")
					    L("      call('PERSIST', g.key .. ':peers')") L(
						"    elseif g.state == 'false_positive' then") L("      call('EXPIRE', "
												 "g.key, closed_ttl)")
						L("      call('EXPIRE', g.key .. ':peers', closed_ttl)") L("    end") L(
						    "    if g.state == 'new' or g.state == 'acknowledged' then")
						    L("      local moved = g.was and g.was ~= g.rank") L(
							"      local score = g.last_ms or ((g.open or moved) and "
							"ms(g.last))") L("      local level = by_level[g.rank + 1]")
							L("      if score then") L("        open[#open + 1] = score; "
										   "open[#open + 1] = g.id") L(
							    "        level[#level + 1] = score; level[#level + 1] = "
							    "g.id") L("      end") L("      if moved then local out = "
										     "gone[g.was + 1]; out[#out + 1] = "
										     "g.id end") L("    end") L("  end")
							    L("end") L("if open[1] then call('ZADD', P .. 'open', "
								       "unpack(open)) end") L(
								"for i = 1, 4 do") L("  local key = P .. 'severity:' "
										     ".. levels[i]") L("  if "
												       "gone[i][1] "
												       "then "
												       "call('ZREM', "
												       "key, "
												       "unpack(gone[i])"
												       ") end")
								L("  if by_level[i][1] then call('ZADD', key, "
								  "unpack(by_level[i])) end") L("end") L(
								    "for _, r in ipairs(rollups) do") L("  "
													"call('HSET', "
													"r.key, "
													"unpack(r.out)"
													")")
								    L("  if r.fresh then call('EXPIRE', r.key, r.ttl) "
								      "end") L("end") L(
									"for _, t in ipairs(tops) do")
									L("  call('ZADD', t.key, unpack(t.out))") L(
									    "  if t.size == 0 then call('EXPIRE', "
									    "t.key, 5184000) end")
									    L("  if t.size > 2 * top_max then "
									      "call('ZREMRANGEBYRANK', t.key, 0, "
									      "-top_max - 1) end") L(
										"end") L("for _, e in ipairs(entries) "
											 "do") L("  local b = e.b")
										L("  local w = {'op', e.op, 'id', "
										  "e.id, 'severity', levels[e.rank + "
										  "1], 'n', text(e.n), 'sensor', "
										  "sensor,") L("      'first_seen', "
											       "e.first, 'last_seen', "
											       "e.last}") L(
										    "  if e.reason ~= '' then w[#w + "
										    "1] = 'reason'; w[#w + 1] = "
										    "e.reason end") L("  if e.episode "
												      "then w[#w + 1] "
												      "= 'episode'; "
												      "w[#w + 1] = "
												      "text(e.episode) "
												      "end")
										    L("  describe(w, b, 14)") L(
											"  w[#w + 1] = 'json'")
											L("  w[#w + 1] = e.op ~= 'new' "
											  "and ARGV[b + 27] ~= '' and "
											  "ARGV[b + 27] or ARGV[b + "
											  "26]") L(
											    "  call('XADD', P .. "
											    "'alerts', 'MAXLEN', '~', "
											    "stream_max, '*', "
											    "unpack(w))") L("end")
											    L("for i = 1, #dead, 1000 "
											      "do call('HDEL', "
											      "KEYS[1], unpack(dead, "
											      "i, math.min(i + 999, "
											      "#dead))) end") L(
												"call('HSET', KEYS[1], "
												"mark_field, hi)")
												L("for _, e in "
												  "ipairs(entries) do "
												  "call('PUBLISH', "
												  "'picket:live', e.op "
												  ".. ' ' .. e.id .. ' "
												  "' .. levels[e.rank "
												  "+ 1]) end")
												    L("return {1, hi, "
												      "#entries, "
												      "conflicts, "
												      "conflict_key}");

/* KEYS[1] = the alert; ARGV: prefix, id, wanted state, who, when, note, seconds
 * that a closed group is kept. Gives {1, state before} or {0, why not}. */
static const char state_text[] = L("local call, P, id, want = redis.call, ARGV[1], ARGV[2], ARGV[3]") L(
    "local v = call('HMGET', KEYS[1], 'state', 'severity', 'last_seen')")
    L("local levels = {low = 1, medium = 1, high = 1, critical = 1}") L("if not v[1] then return {0, 'unknown'} end") L(
	"if v[1] == want then return {0, 'already'} end")
	L("if want == 'acknowledged' and v[1] ~= 'new' then return {0, 'not-new', v[1]} end") L(
	    "call('ZCARD', P .. 'open')") L("for s in pairs(levels) do call('ZCARD', P .. 'severity:' .. s) end")
	    L("local function ms(t)") L(
		"  local y, m, d, h, i, s, f = string.match(t or '', '^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.(%d%d%d)')")
		L("  if not y then return '0' end") L("  y, m = tonumber(y), tonumber(m)") L(
		    "  if m <= 2 then y, m = y - 1, m + 12 end")
		    L("  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400)") L(
			"      + math.floor((153 * (m - 3) + 2) / 5) + d - 719469")
			L("  return string.format('%.0f', (((days * 24 + h) * 60 + i) * 60 + s) * 1000 + f)") L(
			    "end") L("call('HSET', KEYS[1], 'state', want, 'state_by', ARGV[4], 'state_at', ARGV[5], "
				     "'note', ARGV[6])") L("if want == 'closed' or want == 'false_positive' then")
			    L("  call('ZREM', P .. 'open', id)") L(
				"  for s in pairs(levels) do call('ZREM', P .. 'severity:' .. s, id) end")
				L("  call('EXPIRE', KEYS[1], ARGV[7])") L(
				    "  call('EXPIRE', KEYS[1] .. ':peers', ARGV[7])") L("else")
				    L("  local score = ms(v[3])") L("  call('ZADD', P .. 'open', score, id)") L(
					"  if levels[v[2]] then call('ZADD', P .. 'severity:' .. v[2], score, id) end")
					L("  call('PERSIST', KEYS[1])") L("  call('PERSIST', KEYS[1] .. ':peers')")
					    L("end") L("return {1, v[1]}");

/* KEYS[1] = the open zset; ARGV: prefix, the score below which a group is old,
 * the `updated` below which nobody heard of it, offset, how many to look at.
 * Gives {forgotten, kept}. Event time alone does not decide: a capture of last
 * year that is replayed today is no old alert. */
static const char sweep_text[] = L("local call, P = redis.call, ARGV[1]") L(
    "local ids = call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2], 'LIMIT', ARGV[4], ARGV[5])") L("local old = {}")
    L("for _, s in ipairs({'low', 'medium', 'high', 'critical'}) do call('ZCARD', P .. 'severity:' .. s) end")
	L("for _, id in ipairs(ids) do") L("  local v = redis.pcall('HGET', P .. 'alert:' .. id, 'updated')")
	    L("  if type(v) ~= 'string' or v < ARGV[3] then old[#old + 1] = {id, type(v) ~= 'table'} end") L("end")
		L("for _, o in ipairs(old) do")
		    L("  if o[2] then call('UNLINK', P .. 'alert:' .. o[1], P .. 'alert:' .. o[1] .. ':peers') end")
			L("  call('ZREM', KEYS[1], o[1])")
			    L("  for _, s in ipairs({'low', 'medium', 'high', 'critical'}) do call('ZREM', P .. "
			      "'severity:' .. s, o[1]) end") L("end") L("return {#old, #ids - #old}");

/* KEYS[1] = picket:sensor:<id>; ARGV: seconds to keep it, then field, value, …
 * The hash is replaced whole, so a sensor cannot make it grow by new names. */
static const char posture_text[] = L("if redis.call('TYPE', KEYS[1]).ok ~= 'none' then redis.call('HLEN', KEYS[1]) end")
    L("redis.call('DEL', KEYS[1])") L("redis.call('HSET', KEYS[1], unpack(ARGV, 2))")
	L("redis.call('EXPIRE', KEYS[1], ARGV[1])") L("return 1");

const char *const script_text[SCRIPT_COUNT] = {
    [SCRIPT_FLUSH] = flush_text,
    [SCRIPT_STATE] = state_text,
    [SCRIPT_SWEEP] = sweep_text,
    [SCRIPT_POSTURE] = posture_text,
};
