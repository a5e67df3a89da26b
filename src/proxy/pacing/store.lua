-- One question of one replica: so many grants, please. The store's clock counts.
-- ARGV: replica, usable depth, rate, depth and rate of the portal, reserve, callers waiting, grants wanted, of them for callers
-- who were quiet, level to begin with, level to add, whether the portal says it is full, calls that it refused.
-- Answers: granted, microseconds until the next, callers that wait at other replicas, replicas, level and own level in thousandths.
local key, me = KEYS[1], ARGV[1]
local usable, rate, depth, bare, reserve = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local callers, want, fresh = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local begin, add, full, refused = tonumber(ARGV[10]), tonumber(ARGV[11]), ARGV[12] == '1', tonumber(ARGV[13])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local all, known, least, others, replicas = redis.call('HGETALL', key), {}, math.huge, 0, 1
for i = 1, #all, 2 do
  local name, value = all[i], all[i + 1]
  known[name] = value
  local kind, id = name:match('^(%a):(.*)')
  if kind == 'r' and id ~= me then
    local turn, till, waiting = value:match('^(%S+) (%S+) (%S+)$')
    if not turn or tonumber(till) < now then
      redis.call('HDEL', key, name)
    else
      others, least = others + tonumber(waiting), math.min(least, tonumber(turn))
    end
  elseif kind == 's' and id ~= me then
    if tonumber(value) < now - 30 then redis.call('HDEL', key, name) else replicas = replicas + 1 end
  end
end
local passed = math.max(0, now - (tonumber(known.at) or now))
local level, own = begin, begin
if known.level then
  level = math.max(0, tonumber(known.level) - passed * rate) + add
  own = math.max(0, tonumber(known.own) - passed * bare) + add
end
own = math.min(depth, math.max(0, own - refused))
if full then level = depth end
level = math.min(depth, level)
local mine, granted = tonumber((known['r:' .. me] or ''):match('^(%S+)')) or 0, 0
if least < math.huge then mine = math.max(mine, least - 1) end
local ordinary = math.max(1, usable - reserve)
while granted < want and mine <= least and (level + 1 <= ordinary or (granted < fresh and level + 1 <= usable)) do
  level, own, granted, mine = level + 1, own + 1, granted + 1, mine + 1 / math.max(1, callers)
end
if granted < want then
  redis.call('HSET', key, 'r:' .. me, mine .. ' ' .. now + 1 .. ' ' .. callers)
else
  redis.call('HDEL', key, 'r:' .. me)
end
redis.call('HSET', key, 'level', tostring(level), 'own', tostring(own), 'at', string.format('%.6f', now), 's:' .. me, string.format('%.3f', now))
redis.call('PEXPIRE', key, math.max(30000, math.ceil(depth / rate * 2000)))
local most = granted < fresh and usable or ordinary
return { granted, math.ceil(math.max(0, level + 1 - most) / rate * 1e6), others, replicas, math.floor(level * 1000), math.floor(own * 1000) }
