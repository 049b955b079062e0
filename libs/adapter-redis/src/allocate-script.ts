/**
 * {@link QuotaLedger}'s arithmetic where the counters are. Redis runs a script without anything between its commands, so it is atomic for all
 * clients; the time is Redis' own, so clients' clocks do not matter.
 *
 * KEYS: the counter (hash: part → used), the remembered answer (string; read only when `dedup ms` is above 0).
 * ARGV: max, window ms, parts per window, parts that count, amount, best effort (0/1), dedup ms.
 * Returns granted, remaining, valid ms, time ms.
 */
export const ALLOCATE_SCRIPT = `
local max, window, perWindow, counted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local amount, bestEffort, dedup = tonumber(ARGV[5]), ARGV[6] == '1', tonumber(ARGV[7])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function text(number) return string.format('%.0f', number) end
local function leavesAt(part) return math.ceil((part + counted) * window / perWindow) end

local all = redis.call('HGETALL', KEYS[1])
local part = math.floor(now * perWindow / window)
local newest = -1
for i = 1, #all, 2 do newest = math.max(newest, tonumber(all[i])) end
if newest - part > counted then
  redis.call('DEL', KEYS[1])
  all = {}
else
  part = math.max(part, newest)
end
local used, oldest = 0, part
for i = 1, #all, 2 do
  local number = tonumber(all[i])
  if number <= part - counted then
    redis.call('HDEL', KEYS[1], all[i])
  else
    used = used + tonumber(all[i + 1])
    oldest = math.min(oldest, number)
  end
end

if dedup > 0 then
  local answer = redis.call('GET', KEYS[2])
  if answer then
    local granted, till = string.match(answer, '^(%d+):(%d+)$')
    if now < tonumber(till) then return {tonumber(granted), math.max(0, max - used), leavesAt(oldest) - now, text(now)} end
  end
end
local free = math.max(0, max - used)
local granted = 0
if amount <= free then granted = amount elseif bestEffort then granted = free end
if granted > 0 then
  redis.call('HINCRBY', KEYS[1], text(part), granted)
  redis.call('PEXPIRE', KEYS[1], leavesAt(part) - now + 1000)
end
if dedup > 0 then redis.call('SET', KEYS[2], text(granted) .. ':' .. text(now + dedup), 'PX', dedup + 1000) end
return {granted, math.max(0, max - used - granted), leavesAt(oldest) - now, text(now)}
`;
