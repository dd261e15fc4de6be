"""Workers that serve models the way vLLM and Ollama do, as far as clients can tell."""

import asyncio
import json

from peers import reply, serving

STREAM = "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"  # see ModelServer._say
SSE = "HTTP/1.1 200 OK\r\nserver: uvicorn\r\nContent-Type: text/event-stream; charset=utf-8\r\n" + STREAM
NDJSON = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n" + STREAM


def chunk(text):
    data = text.encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(value, name=None):
    return chunk((f"event: {name}\n" if name else "") + f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n")


class ModelServer:
    """A vLLM server. `models` are the models that it has. It answers every request with `words`, one token a word, `pause` seconds
    apart. `behave` is for Peers.start(). `tokens` counts the tokens that it has made, which cost money."""

    def __init__(self, *models, words=("These", " are", " the", " words", "."), pause=0.0):
        self.models, self.words, self.pause = models, words, pause
        self.tokens = 0
        self.behave = serving(self._answer)

    async def _answer(self, connection, request):
        paths = {"/v1/chat/completions": self._chat, "/v1/completions": self._complete, "/v1/embeddings": self._embed,
                 "/v1/responses": self._respond, "/api/generate": self._generate}
        if request.path == "/health":
            await connection.send(reply(b""))
        elif request.path == "/v1/models":
            await connection.send(reply({"object": "list", "data": [{"id": model, "object": "model"} for model in self.models]}))
        elif request.path not in paths or request.method != "POST":
            await connection.send(reply({"detail": "Not Found"}, 404))
        elif not isinstance(asked := self._read(request), dict):
            await connection.send(asked)
        else:
            await paths[request.path](connection, request, asked)

    def _read(self, request):
        """Returns the body as a dict, or the bytes of an answer that refuses it."""
        try:
            asked = request.json
            assert isinstance(asked["model"], str)
        except (ValueError, KeyError, AssertionError):
            return reply(self.error("body: field required", "BadRequestError", 400), 400)
        if asked["model"] not in self.models:
            return reply(self.error(f"The model `{asked['model']}` does not exist.", "NotFoundError", 404), 404)
        if asked.get("max_tokens") == 0:
            return reply(self.error("max_tokens must be at least 1, got 0.", "BadRequestError", 400), 400)
        return asked

    @staticmethod
    def error(message, kind, code):
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    async def _say(self, connection, request, head, pieces, end):
        """Streams pieces(word, number) for each word. Stops when the client has left."""
        watch = asyncio.ensure_future(connection.wait_until_gone(request))
        try:
            await connection.send(head.encode())
            for number, word in enumerate(self.words):
                if watch.done():
                    return
                self.tokens += 1
                await connection.send(pieces(word, number))
                await asyncio.sleep(self.pause)
            await connection.send(end + b"0\r\n\r\n")
        finally:
            watch.cancel()
        connection.close()  # the watch would read the next request; the head has told it

    async def _chat(self, connection, request, asked):
        common = {"id": "chatcmpl-1", "created": 1, "model": asked["model"]}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": "".join(self.words)}
            await self._whole(connection, {**common, "object": "chat.completion", "usage": self._usage(),
                                           "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
            return

        def piece(word, number):
            delta = {"content": word, **({"role": "assistant"} if number == 0 else {})}
            return event({**common, "object": "chat.completion.chunk",
                          "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

        last = {**common, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        await self._say(connection, request, SSE, piece, event(last) + event("[DONE]"))

    async def _complete(self, connection, request, asked):
        common = {"id": "cmpl-1", "created": 1, "model": asked["model"], "object": "text_completion"}
        if not asked.get("stream"):
            await self._whole(connection, {**common, "usage": self._usage(),
                                           "choices": [{"index": 0, "text": "".join(self.words), "finish_reason": "stop"}]})
            return
        await self._say(connection, request, SSE, lambda word, _: event({**common, "choices": [{"index": 0, "text": word}]}),
                        event("[DONE]"))

    async def _embed(self, connection, request, asked):
        inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        vector = "AACAPwAAAEA=" if asked.get("encoding_format") == "base64" else [1.0, 2.0]
        await self._whole(connection, {"object": "list", "model": asked["model"], "usage": self._usage(), "data": [
            {"object": "embedding", "index": index, "embedding": vector} for index in range(len(inputs))]})

    async def _respond(self, connection, request, asked):
        content = [{"type": "output_text", "text": "".join(self.words), "annotations": []}]
        whole = {"id": "resp_1", "object": "response", "created_at": 1, "model": asked["model"], "status": "completed", "output": [
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}]}
        if not asked.get("stream"):
            await self._whole(connection, whole)
            return

        def piece(word, number):
            return event({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0,
                          "delta": word,
                          "sequence_number": number}, "response.output_text.delta")

        await self._say(connection, request, SSE, piece,
                        event({"type": "response.completed", "response": whole}, "response.completed"))

    async def _generate(self, connection, request, asked):
        """Answers a request of Ollama's own kind: with a stream of lines, unless the request says otherwise."""
        common = {"model": asked["model"], "created_at": "2026-01-01T00:00:00Z"}
        if asked.get("stream", True):
            await self._say(connection, request, NDJSON,
                            lambda word, _: chunk(json.dumps({**common, "response": word, "done": False}) + "\n"),
                            chunk(json.dumps({**common, "response": "", "done": True}) + "\n"))
        else:
            await self._whole(connection, {**common, "response": "".join(self.words), "done": True})

    async def _whole(self, connection, answer):
        await asyncio.sleep(self.pause * len(self.words))
        self.tokens += len(self.words)
        await connection.send(reply(answer))

    def _usage(self):
        return {"prompt_tokens": 1, "completion_tokens": len(self.words), "total_tokens": 1 + len(self.words)}
