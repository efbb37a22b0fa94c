package reachfiveredis

// What is stored for one name, all of it in one slot of a cluster. Each key has a
// TTL.
//
//	record    hash: granted, fresh, record, mac    the last good fetch
//	lease     string: RANDOM@GRANTED               the right to fetch
//	pause     string: MILLISECONDS:REASON          what the provider asked for
//	unknown   string                               a fetch for an unknown kid was granted
//
// Times are milliseconds of the server's clock. A TTL that is longer than it was
// set means that the clock was set back: the key then counts as gone, so that no
// fleet waits for hours.

// askScript takes the cause, the age that a record must be below, a random text,
// the lengths of the lease and of the pause after an unknown kid, and the largest
// size of a record.
const askScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local cause, younger = ARGV[1], tonumber(ARGV[2])

local r = redis.call('HMGET', KEYS[1], 'granted', 'fresh', 'record', 'mac')
local granted, fresh, record = tonumber(r[1]), tonumber(r[2]), r[3]
if granted and fresh and record and #record <= tonumber(ARGV[6]) then
  local age = now - granted
  if age >= 0 and age < younger and age < fresh then
    return {'record', record, r[4] or '', r[1], r[2], age}
  end
end
if cause == '' then return {'none'} end

local pause = redis.call('GET', KEYS[3])
if pause and cause ~= 'asked' then
  local colon = string.find(pause, ':', 1, true)
  local asked, left = colon and tonumber(string.sub(pause, 1, colon - 1)), redis.call('PTTL', KEYS[3])
  if asked and left > 0 and left <= asked then
    return {'wait', string.sub(pause, colon + 1), left}
  end
end

local lease = redis.call('PTTL', KEYS[2])
if lease > 0 and lease <= tonumber(ARGV[4]) then return {'none'} end

if cause == 'unknown_kid' then
  local left = redis.call('PTTL', KEYS[4])
  if left > 0 and left <= tonumber(ARGV[5]) then return {'wait', '', left} end
  redis.call('SET', KEYS[4], '1', 'PX', ARGV[5])
end
local value = ARGV[3] .. '@' .. string.format('%d', now)
redis.call('SET', KEYS[2], value, 'PX', ARGV[4])
return {'lease', value}`

// publishScript takes the lease, the fields of the record, and how long it is
// kept.
const publishScript = `
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'granted', ARGV[2], 'fresh', ARGV[3], 'record', ARGV[4], 'mac', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('DEL', KEYS[2], KEYS[3])
return 1`

// releaseScript takes the lease, the pause, and its reason.
const releaseScript = `
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[3], ARGV[2] .. ':' .. ARGV[3], 'PX', ARGV[2])
end
return 1`
