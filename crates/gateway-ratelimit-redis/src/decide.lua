-- One account, in one step: first what a node has to say of its calls, then, if it asks, whether one more may be made.
--
-- KEYS[1] is a hash that holds everything of the account; its values are MessagePack, which keeps integers whole:
--   clock      when it was last written
--   expires    until when it is kept
--   r:RATE     a bucket of requests: arrival, micros, units, capacity (so many micros are so many units' worth), its slot among
--              the quotas of a call, and when it was last changed
--   t:RATE     the same of tokens
--   $:PERIOD   money of a window: its start, what is spent, what is known to be spent at least, and when this count began
--   n:NODE     what a node has said: its counters, and what it has in flight
-- ARGV[1] is the question, as JSON: see script.rs, which also reads the answer.
--
-- Numbers are doubles, exact up to 2^53. Times are microseconds since the epoch, below 2^52 until the year 2112, and no
-- bucket reaches further ahead than 2^52 (142 years), so that sums of two are exact. Counters wrap at 2^52. Money is in
-- billionths of a US dollar, exact up to nine million dollars an account and window; beyond that each addition is rounded to
-- less than a millionth of a dollar.

local WRAP, FURTHEST, EXACT = 2 ^ 52, 2 ^ 52, 2 ^ 53
local YEAR, FORGET_AFTER = 365 * 24 * 3600 * 1000000, 600 * 1000000
local DENIED, ADMITTED, NOTED, LATE = 0, 1, 2, 3

local key, ask = KEYS[1], cjson.decode(ARGV[1])
local said, money, call = ask.node, ask.money, ask.call

local now = ask.now
if not now then
  local clock = redis.call('TIME')
  now = clock[1] * 1000000 + clock[2]
end
-- Whoever asked has given up: what would be taken now would never be used.
if ask.deadline and now > ask.deadline then return { LATE, now } end

-- What was stored ------------------------------------------------------------------------------------------------------------

-- The numbers that a value has to have; further ones are a node's counters.
local SHAPES = {
  ['r:'] = { 'slot', 'arrival', 'changed', 'micros', 'units', 'capacity' },
  ['t:'] = { 'slot', 'arrival', 'changed', 'micros', 'units', 'capacity' },
  ['$:'] = { 'start', 'spent', 'base', 'epoch' },
  ['n:'] = { 'sequence', 'in_flight', 'reserved', 'seen' },
}

local function is_number(value) return type(value) == 'number' and value >= 0 and value <= 2 ^ 64 end

local function is_sound(field, value)
  local shape = SHAPES[string.sub(field, 1, 2)]
  if not shape then return is_number(value) and (field == 'clock' or field == 'expires') end
  if type(value) ~= 'table' then return false end
  for _, name in ipairs(shape) do
    if not is_number(value[name]) then return false end
  end
  for name, part in pairs(value) do
    if name ~= 'window' and not is_number(part) then return false end
  end
  return value.micros ~= 0 and value.units ~= 0
end

-- What others have written here is of no use. It is forgotten as a whole: the account is as good as new.
local function read_account()
  local fields, found = redis.pcall('HGETALL', key), {}
  if fields.err then return nil, fields end
  for i = 1, #fields, 2 do
    local is_packed, value, more = pcall(cmsgpack.unpack, fields[i + 1])
    if not is_packed or more ~= nil or not is_sound(fields[i], value) then return nil end
    found[fields[i]] = value
  end
  return found
end

local account, failure = read_account()
local is_damaged = not account
if is_damaged then
  -- Any other failure is Redis's own.
  if failure and not string.find(failure.err, 'WRONGTYPE', 1, true) then return failure end
  redis.call('DEL', key)
  account = {}
end

local changed, gone, useful_until = {}, {}, account.expires or 0
local function keep(field, value, until_when)
  account[field] = value
  changed[field] = true
  useful_until = math.max(useful_until, until_when)
end
local function forget(field)
  account[field], changed[field] = nil, nil
  gone[#gone + 1] = field
end

-- A clock that was set back neither fills nor empties a bucket: they move with it.
local behind = math.max((account.clock or 0) - now, 0)
for _, bucket in pairs(account) do
  if type(bucket) == 'table' and bucket.arrival then
    bucket.arrival, bucket.changed = bucket.arrival - behind, bucket.changed - behind
  end
end

-- Buckets ---------------------------------------------------------------------------------------------------------------
--
-- One for each rate that calls are limited to, and each call counts in all of them, whoever let it through. So nodes that do
-- not agree about limits, as long as a change of them takes to get around, each see all that is spent, and no question
-- changes what another one finds. The twin of this is gateway-ratelimit's local/rates.rs.

local REQUESTS, TOKENS, MOST_RATES = 'r:', 't:', 8

-- The buckets of requests, or of tokens. They are forgotten together, when nothing is spent of any.
local function buckets_of(kind, at)
  local found, latest = {}, at
  for field, bucket in pairs(account) do
    if string.sub(field, 1, 2) == kind then
      found[field], latest = bucket, math.max(latest, bucket.arrival)
    end
  end
  if latest > at then return found end
  for field in pairs(found) do forget(field) end
  return {}
end

local function common_divisor(a, b)
  while b > 0 do a, b = b, a % b end
  return a
end

-- What is spent of a bucket at a moment, but for what is spared, as the time of another rate, though not more than all. Exact
-- as long as the product is; beyond 2^53 a double may be off by its last digit.
local function backlog_in(bucket, spared, quota, moment)
  local times, over = bucket.units * quota.micros, bucket.micros * quota.units
  if times < EXACT and over < EXACT then
    local divisor = common_divisor(times, over)
    times, over = times / divisor, over / divisor
  end
  return math.min(math.ceil(math.max(bucket.arrival - spared - moment, 0) * times / over), quota.capacity)
end

-- The last part of a rate's name; of a name that others have written it may be none.
local function burst_of(rate) return tonumber(string.match(rate, '%d+$') or 0) end

-- What a rate that is new begins with for the sake of another: with all that was spent when that was last changed, if it takes
-- the other's place; else with what a bucket of its own burst could not have held, so that it has no more room. What has come
-- back since has done so at the faster of both rates.
local function passed_on(field, other, quota, is_replaced)
  local more = is_replaced and 0 or math.max(burst_of(field) - burst_of(quota.rate), 0)
  local spared = math.ceil(more * other.micros / other.units)
  return math.min(
    other.changed + backlog_in(other, spared, quota, other.changed), now + backlog_in(other, spared, quota, now))
end

-- The most that any other makes of it.
local function beginning(quota, buckets, asked)
  local has_place, arrival = false, now
  for _, other in pairs(buckets) do has_place = has_place or other.slot == quota.slot end
  for field, other in pairs(buckets) do
    -- Of a slot that the call does not have, the quota may have been moved to this one.
    local is_moved = not has_place and not asked[other.slot]
    arrival = math.max(arrival, passed_on(field, other, quota, other.slot == quota.slot or is_moved))
  end
  return arrival
end

local function arrival_of(quota, buckets, asked)
  local own = buckets[quota.kind .. quota.rate]
  return own and own.arrival or beginning(quota, buckets, asked)
end

-- Whether a bucket is forgotten before another.
local function knows_less(field, other, buckets)
  local burst, others = burst_of(field), burst_of(other)
  return burst < others or burst == others and buckets[field].arrival < buckets[other].arrival
end

local function add_bucket(quota, buckets, asked, arrival)
  local others, least = 0, nil
  for field, other in pairs(buckets) do
    if other.slot == quota.slot and not asked[field] then
      others = others + 1
      if not least or knows_less(field, least, buckets) then least = field end
    end
  end
  if others >= MOST_RATES then
    buckets[least] = nil
    forget(least)
  end
  buckets[quota.kind .. quota.rate] = {
    slot = quota.slot, arrival = arrival, changed = now,
    micros = quota.micros, units = quota.units, capacity = quota.capacity,
  }
end

-- Goes on with a bucket. At a rate that is not the call's own it is full at most: there is nothing to tell apart beyond.
local function set_arrival(field, bucket, arrival, is_own, at)
  if not is_own then arrival = math.min(arrival, math.max(bucket.arrival, at + bucket.capacity)) end
  bucket.arrival, bucket.changed = math.min(arrival, now + FURTHEST), math.max(bucket.changed, at)
  keep(field, bucket, bucket.arrival)
end

-- What a node says ------------------------------------------------------------------------------------------------------

local is_news = false

-- Its counters only grow (and wrap), so a message that is lost or repeated does no harm. Where the last ones are not known,
-- growth is counted from what the node knows to have been counted.
local function growth(node, counter)
  local value, counted = unpack(said[counter])
  local grown = (value - (node[counter] or counted)) % WRAP
  node[counter] = value
  is_news = is_news or grown > 0
  return grown
end

-- What there is of its calls lies between what it knows of and that together with all that it still waits for. So whatever
-- was taken for a node that never learned of it is given back, and what a Redis has forgotten comes back.
local function within(value, known, awaited)
  local corrected = math.min(math.max(value, known), known + awaited)
  is_news = is_news or corrected ~= value
  return corrected
end

local function hear_of_calls(node)
  if node.generation ~= said.generation then
    node.generation, node.window = said.generation, nil
    node.ended, node.given_back, node.owed = nil, nil, nil
  end
  local ended = growth(node, 'ended')
  node.in_flight = within(math.max(node.in_flight - ended, 0), said.in_flight, said.awaited)
  local given_back, owed = growth(node, 'given_back'), growth(node, 'owed')
  if given_back > 0 or owed > 0 then
    -- What was owed long ago has been paid by the time that has passed.
    local since = math.min(said.settled_at or now, now)
    local buckets, own = buckets_of(TOKENS, since), said.tokens and TOKENS .. said.tokens.rate
    if own and owed > 0 and not next(buckets) then add_bucket(said.tokens, buckets, {}, since) end
    for field, bucket in pairs(buckets) do
      local back = math.floor(given_back * bucket.micros / bucket.units)
      local due = math.ceil(owed * bucket.micros / bucket.units)
      set_arrival(field, bucket, math.max(bucket.arrival - back, since) + due, field == own, since)
    end
  end
end

local function known_spent(spending)
  return math.max(spending.spent, spending.base)
end

local function hear_of_money(node, window, spending)
  if node.window ~= window then
    node.window, node.reserved, node.released, node.spent = window, 0, nil, nil
  end
  local released = growth(node, 'released')
  node.reserved = within(math.max(node.reserved - released, 0), money.reserved, money.awaited)
  -- Whoever has told another count, which is lost, tells this one all that it has spent. What is known from elsewhere is no
  -- part of the count, as it may be told as well.
  local spent, confirmed = unpack(said.spent)
  local counted = node.spent or (money.epoch == spending.epoch and confirmed or 0)
  local grown = math.max(spent - counted, 0)
  if grown > 0 or money.base > known_spent(spending) then
    node.spent, is_news = math.max(spent, counted), true
    spending.spent, spending.base = spending.spent + grown, math.max(spending.base, money.base)
    keep('$:' .. money.period, spending, money.ends or now + YEAR)
  end
end

-- A node whose clock is behind may speak of a window that has ended for others. Its calls are then held to what is spent in the
-- new one, and count in neither.
local function window_of_money()
  local spending = account['$:' .. money.period]
  if not spending or spending.start < money.start then spending = { start = money.start, spent = 0, base = 0, epoch = now } end
  return spending, money.period .. string.format('%.0f', money.start), spending.start == money.start
end

local node, spending, window, is_current
if money then spending, window, is_current = window_of_money() end
if said then
  node = account['n:' .. said.id] or { sequence = 0, in_flight = 0, reserved = 0, seen = 0 }
  -- One that was overtaken by a later one says nothing new.
  if said.sequence > node.sequence then
    hear_of_calls(node)
    if is_current then hear_of_money(node, window, spending) end
    node.sequence = said.sequence
  end
end

-- Calls and money of all nodes that are alive; what a node has said is forgotten later, as it may only be cut off.
local in_flight, committed = 0, spending and known_spent(spending) or 0
for field, other in pairs(account) do
  if string.sub(field, 1, 2) == 'n:' and other ~= node then
    if now - other.seen <= ask.alive_for then
      in_flight = in_flight + other.in_flight
      if window and other.window == window then committed = committed + other.reserved end
    elseif now - other.seen > FORGET_AFTER then
      forget(field)
    end
  end
end
if node then
  in_flight = in_flight + node.in_flight
  if window and node.window == window then committed = committed + node.reserved end
end

-- May it make a call? ---------------------------------------------------------------------------------------------------

local verdict, arrivals = NOTED, {}
if call then
  verdict = ADMITTED
  local kinds, asked = { [REQUESTS] = buckets_of(REQUESTS, now), [TOKENS] = buckets_of(TOKENS, now) }, {}
  for _, quota in ipairs(call.quotas) do
    asked[quota.slot], asked[quota.kind .. quota.rate] = true, quota
  end
  for i, quota in ipairs(call.quotas) do
    arrivals[i] = math.max(arrival_of(quota, kinds[quota.kind], asked), now)
    if arrivals[i] - now + quota.cost > quota.capacity then verdict = DENIED end
  end
  if call.max_concurrent and in_flight + 1 > call.max_concurrent then verdict = DENIED end
  -- With no money left, not even a call that costs nothing is made.
  if call.budget and (committed >= call.budget or committed + call.cost > call.budget) then verdict = DENIED end
  if verdict == ADMITTED then
    local counted = {}
    for i, quota in ipairs(call.quotas) do
      local buckets = kinds[quota.kind]
      counted[quota.kind] = quota.amount
      if not buckets[quota.kind .. quota.rate] then add_bucket(quota, buckets, asked, arrivals[i]) end
      arrivals[i] = arrivals[i] + quota.cost
    end
    for kind, amount in pairs(counted) do
      for field, bucket in pairs(kinds[kind]) do
        local cost = asked[field] and asked[field].cost or math.ceil(amount * bucket.micros / bucket.units)
        set_arrival(field, bucket, math.max(bucket.arrival, now) + cost, asked[field], now)
      end
    end
  end
end
if verdict == ADMITTED and node then
  is_news, node.in_flight = true, node.in_flight + 1
  if call.budget and is_current and node.window == window then node.reserved = node.reserved + call.cost end
end

-- Write down what has changed; a call that is refused changes nothing.
if node and (is_news or now - node.seen > ask.alive_for / 4) then
  node.seen = now
  keep('n:' .. said.id, node, now + ask.alive_for)
end
if next(changed) then
  account.clock, account.expires = now, useful_until
  local written = {}
  for field, value in pairs(account) do
    if changed[field] or behind > 0 or field == 'clock' or field == 'expires' then
      written[#written + 1] = field
      written[#written + 1] = cmsgpack.pack(value)
    end
  end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  redis.call('HSET', key, unpack(written))
  redis.call('PEXPIRE', key, string.format('%.0f', math.ceil((useful_until - now) / 1000) + 1000))
end

local epoch = spending and spending.epoch or 0
local answer = { verdict, now, in_flight, math.min(committed, 2 ^ 62), epoch, is_damaged and 1 or 0, 0, 0, 0, 0 }
for i, arrival in ipairs(arrivals) do answer[7 + call.quotas[i].slot] = arrival end
return answer
