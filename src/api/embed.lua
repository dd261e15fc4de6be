-- Makes C of the files that are served as they are, so that the binary needs none of them beside it.
--
--   lua5.1 src/api/embed.lua OUTPUT.c FILE…
--
-- Of a file docs.html it makes the text embedded_docs_html and, as embedded_docs_html_policy, the Content-Security-Policy that lets a
-- browser run the page's own <script> and apply its own <style>, known by their SHA-256, and nothing else.

local function fail(path, message)
  io.stderr:write(path, ': ', message, '\n')
  os.exit(1)
end

local function read(path)
  local file = io.open(path, 'rb') or fail(path, 'cannot be read')
  local text = file:read('*a')
  file:close()
  return text
end

local function write(path, text)
  local file = io.open(path, 'wb') or fail(path, 'cannot be written')
  file:write(text)
  file:close()
end

local function c_string(text)
  local lines = {}
  for line in text:gmatch('[^\n]*\n?') do
    -- a ? escaped makes no trigraph
    local escaped = line:gsub('[\\"?]', '\\%0'):gsub('\n', '\\n')
    lines[#lines + 1] = line ~= '' and '    "' .. escaped .. '"' or nil
  end
  return table.concat(lines, '\n')
end

-- The SHA-256 of `text` in base64, by way of a file at `path`.
local function digest(text, path)
  write(path, text)
  local pipe = io.popen('sha256sum ' .. path)
  local hex = pipe:read('*a'):match('^%x+')
  pipe:close()
  os.remove(path)
  if not hex or #hex ~= 64 then
    fail(path, 'sha256sum does not work')
  end
  local digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  -- 3 hex digits are 2 of base64; 64 of them lack two bits for the last one
  local base64 = (hex .. '00'):gsub('%x%x%x', function(three)
    local number = tonumber(three, 16)
    local high, low = math.floor(number / 64) + 1, number % 64 + 1
    return digits:sub(high, high) .. digits:sub(low, low)
  end)
  return base64:sub(1, 43) .. '='
end

local function policy(path, html, output)
  local own = {}
  for _, element in ipairs({ 'script', 'style' }) do
    local text = html:match('<' .. element .. '>(.-)</' .. element .. '>') or fail(path, 'has no <' .. element .. '>')
    own[#own + 1] = ("%s-src 'sha256-%s'; "):format(element, digest(text, output .. '.part'))
  end
  return "default-src 'none'; " .. table.concat(own)
    .. "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
end

local output = arg[1]
local source = { '/* Made by src/api/embed.lua; not to be edited. */', '#include "api/embedded.h"', '' }
local function define(name, text)
  source[#source + 1] = ('static const char %s[] =\n%s;'):format(name, c_string(text))
  source[#source + 1] = ('const struct str embedded_%s = {%s, sizeof(%s) - 1};\n'):format(name, name, name)
end
for i = 2, #arg do
  local name, text = arg[i]:match('[^/]+$'):gsub('%W', '_'), read(arg[i])
  define(name, text)
  if arg[i]:find('%.html$') then
    define(name .. '_policy', policy(arg[i], text, output))
  end
end
write(output, table.concat(source, '\n'))
