-- Reads /instruments/{id} with a Zipf distribution of ids: the n-th id has the frequency 1/n. Or reads one path, if given.
--   wrk -s zipf.lua URL -- INSTRUMENTS [DELAY_MS | 0] [PATH]
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local requests, position = {}, 0

function init(arguments)
  local instruments = tonumber(arguments[1])
  local wait = tonumber(arguments[2] or "0")
  if wait > 0 then
    delay = function() return wait end
  end
  math.randomseed(number + 1)
  local sums, sum = {}, 0
  for n = 1, instruments do
    sum = sum + 1 / n
    sums[n] = sum
  end
  for i = 1, 50000 do
    local target, low, high = math.random() * sum, 1, instruments
    while low < high do
      local middle = math.floor((low + high) / 2)
      if sums[middle] < target then low = middle + 1 else high = middle end
    end
    -- A multiple of a prime scatters the frequent ids over all ids.
    local id = (low * 7919) % instruments
    requests[i] = wrk.format("GET", arguments[3] or ("/instruments/" .. id))
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end
