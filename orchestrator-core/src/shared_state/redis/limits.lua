-- Rates and pots, checked and taken in one step. The arithmetic of rates is that of policy/gcra.rs.
--
-- A rate is "1;MICROS;REST": when what was taken would be used up. Its numbers are exact below 2^53.
-- A pot is a hash: "b" is its base, "c:CORE" what a core holds of it: "DOLLARS;NANOS;GENERATION;EXPIRY". Numbers that may pass 2^53 are
-- split into billions and the rest.
--
-- ARGV: mode (admit: all or nothing; settle: each for itself), core, how long a core's share is believed (microseconds); then for each key
--   r LIMIT BURST AMOUNT
--   p GENERATION LIMIT(2) AMOUNT(2) ANNOUNCE(0, 1) OWN(2) BASE(0 none, 1 where the pot is, 2 makes the pot) BASE(2) NEEDS_BASE(0, 1) CORES
-- A pot that is made anew lets nobody in until so many cores have said what they hold of it, or for GRACE: "n" is their number and until when.
-- Answer: outcome (0 refused, 1 done, 2 something must be said first), now, and for each key its state before:
--   MICROS REST 0 0 0, or FLAG BASE(2) SUM(2); flag 1: the pot is not there, 2: this core is to say what it
-- holds, 3: other cores are.
local BILLION, MINUTE, KEPT, GRACE = 1000000000, 60000000, 3600000, 150000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local admits, core, lives = ARGV[1] == 'admit', 'c:' .. ARGV[2], tonumber(ARGV[3])
local at, answer, items, room, ready = 4, {1, now}, {}, true, true

local function word() at = at + 1 return ARGV[at - 1] end
local function number() return tonumber(word()) end
local function text(n) return string.format('%.0f', n) end
local function more(a, b, c, d) return a > c or (a == c and b > d) end
local function billions(high, low)
  local carry = math.floor(low / BILLION)
  return high + carry, low - carry * BILLION
end

local function span(limit, amount)
  local parts = amount * MINUTE
  local rest = math.fmod(parts, limit)
  return (parts - rest) / limit, rest
end
local function plus(limit, micros, rest, micros2, rest2)
  rest, micros = rest + rest2, micros + micros2
  if rest >= limit then return micros + 1, rest - limit end
  return micros, rest
end
local function minus(limit, micros, rest, micros2, rest2)
  if not more(micros, rest, micros2, rest2) then return 0, 0 end
  if rest < rest2 then return micros - micros2 - 1, rest + limit - rest2 end
  return micros - micros2, rest - rest2
end

local function rate(key)
  local limit, burst, amount = number(), number(), number()
  local micros, rest = string.match(redis.call('GET', key) or '', '^1;(%d+);(%d+)$')
  micros, rest = tonumber(micros or 0), math.min(tonumber(rest or 0), limit - 1)
  local before = {micros, rest, 0, 0, 0}
  if amount < 0 then
    micros, rest = minus(limit, micros, rest, span(limit, -amount))
  elseif amount > 0 then
    local m, r = span(limit, amount)
    local tm, tr = MINUTE, 0
    if burst ~= limit then tm, tr = span(limit, burst) end
    if more(now, 0, micros, rest) then micros, rest = now, 0 end
    micros, rest = plus(limit, micros, rest, m, r)
    local mm, mr = plus(limit, now, 0, tm, tr)
    if more(m, r, tm, tr) or more(micros, rest, mm, mr) then room = false end
  end
  return before, function()
    if amount == 0 then return end
    local left = math.ceil(math.max(micros - now, 0) / 1000) + 60000
    redis.call('SET', key, '1;' .. text(micros) .. ';' .. text(rest), 'PX', text(left))
  end
end

local function pot(key)
  local generation = number()
  local limit, limit2, amount, amount2 = number(), number(), number(), number()
  local announces, own, own2 = number() == 1, number(), number()
  local based, base, base2, needs, cores = number(), number(), number(), number() == 1, number()
  local voices, awaited = 0, nil
  local kept, kept2, sum, sum2, mine, dead = nil, 0, 0, 0, nil, {}
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    if name == 'b' then
      local h, l = string.match(value, '^(-?%d+);(%d+)$')
      kept, kept2 = tonumber(h), tonumber(l)
    elseif name == 'n' then
      local n, e = string.match(value, '^(%d+);(%d+)$')
      awaited = {tonumber(n), tonumber(e)}
    else
      local h, l, g, e = string.match(value, '^(-?%d+);(%d+);(%d+);(%d+)$')
      if not e or tonumber(e) < now then
        dead[#dead + 1] = name
      elseif name == core then
        mine = {tonumber(h), tonumber(l), tonumber(g)}
      else
        sum, sum2 = billions(sum + tonumber(h), sum2 + tonumber(l))
        voices = voices + 1
      end
    end
  end
  if not kept and needs and based ~= 2 then
    ready = false
    return {1, 0, 0, 0, 0}, nil
  end
  if not kept and needs and cores > 1 then awaited = {cores, now + GRACE} end
  local writes_base = false
  if based > 0 and (not kept or more(base, base2, kept, kept2)) then
    kept, kept2, writes_base = base, base2, true
  end
  kept = kept or 0
  local flag = 0
  if announces and (not mine or generation > mine[3]) then
    mine = {own, own2, generation}
  elseif announces or not mine or mine[3] ~= generation then
    flag, ready = 2, false
  end
  if mine then
    sum, sum2 = billions(sum + mine[1], sum2 + mine[2])
    voices = voices + 1
  end
  local over = awaited and (voices >= awaited[1] or now > awaited[2])
  local says = flag == 0
  if says and admits and awaited and not over and (amount > 0 or amount2 > 0) then
    flag, ready = 3, false
  end
  if flag == 0 and (amount > 0 or amount2 > 0) then
    local h, l = billions(kept + sum + amount, kept2 + sum2 + amount2)
    if more(h, l, limit, limit2) then room = false end
  end
  return {flag, kept, kept2, sum, sum2}, function(takes)
    if #dead > 0 then redis.call('HDEL', key, unpack(dead)) end
    if writes_base then redis.call('HSET', key, 'b', text(kept) .. ';' .. text(kept2)) end
    if over then
      redis.call('HDEL', key, 'n')
    elseif awaited then
      redis.call('HSET', key, 'n', text(awaited[1]) .. ';' .. text(awaited[2]))
    end
    if says then
      if takes then mine[1], mine[2] = billions(mine[1] + amount, mine[2] + amount2) end
      local share = {text(mine[1]), text(mine[2]), text(mine[3]), text(now + lives)}
      redis.call('HSET', key, core, table.concat(share, ';'))
    end
    redis.call('PEXPIRE', key, text(math.max(KEPT, lives / 500)))
  end, true
end

for i, key in ipairs(KEYS) do
  local state, write, holds
  if word() == 'r' then state, write = rate(key) else state, write, holds = pot(key) end
  for j = 1, 5 do answer[#answer + 1] = state[j] end
  items[i] = {write, holds}
end
local takes = not admits or (room and ready)
-- What a core holds is said even where nothing is taken.
for _, item in ipairs(items) do
  if item[1] and (takes or item[2]) then item[1](takes) end
end
if not ready then answer[1] = 2 elseif admits and not room then answer[1] = 0 end
return answer
