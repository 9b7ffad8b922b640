-- One account, in one step: first what a node has to say of its calls, then, if it asks, whether one more may be made.
--
-- KEYS[1] is a hash that holds everything of the account; its values are MessagePack, which keeps integers whole:
--   clock      when it was last written
--   expires    until when it is kept
--   q:NAME     a bucket: arrival, micros, units, capacity (so many micros are so many units' worth)
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

local account = {}
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do account[fields[i]] = cmsgpack.unpack(fields[i + 1]) end

local changed, useful_until = {}, account.expires or 0
local function keep(field, value, until_when)
  account[field] = value
  changed[field] = true
  useful_until = math.max(useful_until, until_when)
end

-- A clock that was set back neither fills nor empties a bucket: arrivals move with it.
local behind = (account.clock or 0) - now
if behind > 0 then
  for field, bucket in pairs(account) do
    if string.sub(field, 1, 2) == 'q:' then
      bucket.arrival = bucket.arrival - behind
      changed[field] = true
    end
  end
end

-- Buckets ---------------------------------------------------------------------------------------------------------------

local function common_divisor(a, b)
  while b > 0 do a, b = b, a % b end
  return a
end

-- A bucket that was made for a debt alone is of any rate.
local function is_of(bucket, quota)
  if not bucket.micros then return true end
  return bucket.micros == quota.micros and bucket.units == quota.units and bucket.capacity == quota.capacity
end

-- What is spent of a bucket, as the time of another rate: it stays spent when a rate changes, though not more than all. Exact
-- as long as the product is; beyond 2^53 a double may be off by its last digit.
local function backlog_in(bucket, quota)
  local backlog = math.max(bucket.arrival - now, 0)
  if is_of(bucket, quota) then return backlog end
  local times, over = bucket.units * quota.micros, bucket.micros * quota.units
  if times < EXACT and over < EXACT then
    local divisor = common_divisor(times, over)
    times, over = times / divisor, over / divisor
  end
  return math.min(math.ceil(backlog * times / over), quota.capacity)
end

-- Request quotas that the call no longer has: what is spent of them stays spent of those that are new.
local function gone_from(quotas)
  local is_asked, gone = {}, {}
  for _, quota in ipairs(quotas) do is_asked['q:' .. quota.name] = true end
  for field in pairs(account) do
    if string.sub(field, 1, 10) == 'q:requests' and not is_asked[field] then gone[#gone + 1] = field end
  end
  return gone
end

-- The bucket of a quota, and whether it had another rate before.
local function bucket_of(quota, gone)
  local known, backlog = account['q:' .. quota.name], 0
  if known then
    backlog = backlog_in(known, quota)
  elseif quota.name ~= 'tokens' then
    for _, field in ipairs(gone) do backlog = math.max(backlog, backlog_in(account[field], quota)) end
  end
  local is_other = known and not is_of(known, quota) or not known and backlog > 0
  return { arrival = now + backlog, micros = quota.micros, units = quota.units, capacity = quota.capacity }, is_other
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
    local bucket = account['q:tokens'] or { arrival = now }
    -- What was owed long ago has been paid by the time that has passed.
    local since = math.min(said.settled_at or now, now)
    bucket.arrival = math.min(math.max(bucket.arrival - given_back, since) + owed, now + FURTHEST)
    keep('q:tokens', bucket, bucket.arrival)
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

-- A node whose clock is behind may speak of a window that has ended for others. Its calls then count in the new one.
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
local obsolete = {}
for field, other in pairs(account) do
  if string.sub(field, 1, 2) == 'n:' and other ~= node then
    if now - other.seen <= ask.alive_for then
      in_flight = in_flight + other.in_flight
      if window and other.window == window then committed = committed + other.reserved end
    elseif now - other.seen > FORGET_AFTER then
      obsolete[#obsolete + 1] = field
    end
  end
end
if node then
  in_flight = in_flight + node.in_flight
  if window and node.window == window then committed = committed + node.reserved end
end

-- May it make a call? ---------------------------------------------------------------------------------------------------

local verdict, buckets = NOTED, {}
if call then
  verdict = ADMITTED
  local gone = gone_from(call.quotas)
  local has_changed = #gone > 0
  for i, quota in ipairs(call.quotas) do
    local is_other
    buckets[i], is_other = bucket_of(quota, gone)
    has_changed = has_changed or is_other
    if buckets[i].arrival - now + quota.cost > quota.capacity then verdict = DENIED end
  end
  if call.max_concurrent and in_flight + 1 > call.max_concurrent then verdict = DENIED end
  -- With no money left, not even a call that costs nothing is made.
  if call.budget and (committed >= call.budget or committed + call.cost > call.budget) then verdict = DENIED end
  for i, quota in ipairs(call.quotas) do
    if verdict == ADMITTED then buckets[i].arrival = buckets[i].arrival + quota.cost end
    if verdict == ADMITTED or has_changed then keep('q:' .. quota.name, buckets[i], buckets[i].arrival) end
  end
  for _, field in ipairs(gone) do obsolete[#obsolete + 1] = field end
end
if verdict == ADMITTED and node then
  is_news, node.in_flight = true, node.in_flight + 1
  if call.budget and is_current and node.window == window then node.reserved = node.reserved + call.cost end
end

-- Write down what has changed; a call that was refused usually changes nothing.
if node and (is_news or now - node.seen > ask.alive_for / 4) then
  node.seen = now
  keep('n:' .. said.id, node, now + ask.alive_for)
end
if next(changed) or #obsolete > 0 then
  if #obsolete > 0 then redis.call('HDEL', key, unpack(obsolete)) end
  account.clock, account.expires = now, useful_until
  changed.clock, changed.expires = true, true
  local written = {}
  for _, field in ipairs(obsolete) do changed[field] = nil end
  for field in pairs(changed) do
    written[#written + 1] = field
    written[#written + 1] = cmsgpack.pack(account[field])
  end
  redis.call('HSET', key, unpack(written))
  redis.call('PEXPIRE', key, string.format('%.0f', math.ceil((useful_until - now) / 1000) + 1000))
end

local answer = { verdict, now, in_flight, math.min(committed, 2 ^ 62), spending and spending.epoch or 0 }
for i, bucket in ipairs(buckets) do answer[5 + i] = bucket.arrival end
return answer
