// What the official client makes of a coordinator: `node client.mjs URL` does each of the steps, and prints what came of them as
// JSON.
import OpenAI from 'openai'

const client = new OpenAI({ baseURL: process.argv[2] + '/v1', apiKey: 'sk-anything', maxRetries: 0, timeout: 10000 })
const messages = [{ role: 'user', content: 'What are the words?' }]

async function failure(promise) {
    try {
        await promise
        return { kind: null }
    } catch (error) {
        return { kind: error.constructor.name, status: error.status, message: error.message, code: error.code, type: error.type,
          error: error.error }
    }
}

async function gather(stream, pick) {
    const pieces = []
    const times = []
    for await (const part of stream) {
        const text = pick(part)
        if (text) {
            pieces.push(text)
            times.push(performance.now())
        }
    }
    return { pieces, spread: times.at(-1) - times[0] }
}

const chat = (model, more = {}, options = {}) => client.chat.completions.create({ model, messages, ...more }, options)

const steps = {
    async models() {
        const found = []
        for await (const model of client.models.list()) found.push(model)
        return found
    },
    async one_model() {
        return client.models.retrieve('llama-3.1-8b')
    },
    async chat() {
        const { data, response } = await chat('llama-3.1-8b').withResponse()
        return { text: data.choices[0].message.content, model: data.model, usage: data.usage,
          worker: response.headers.get('x-rma-worker') }
    },
    async chat_stream() {
        return gather(await chat('llama-3.1-8b', { stream: true }), (part) => part.choices[0]?.delta?.content)
    },
    async helper() {
        const runner = client.chat.completions.stream({ model: 'llama-3.1-8b', messages })
        return (await runner.finalChatCompletion()).choices[0].message.content
    },
    async ollama() {
        return (await chat('qwen2.5:latest')).choices[0].message.content
    },
    async ollama_stream() {
        return gather(await chat('qwen2.5:latest', { stream: true }), (part) => part.choices[0]?.delta?.content)
    },
    async completions() {
        return (await client.completions.create({ model: 'llama-3.1-8b', prompt: 'x' })).choices[0].text
    },
    async completions_stream() {
        return gather(await client.completions.create({ model: 'llama-3.1-8b', prompt: 'x', stream: true }),
          (part) => part.choices[0].text)
    },
    async embeddings() {
        return (await client.embeddings.create({ model: 'llama-3.1-8b', input: ['a', 'b'] })).data.map((each) => each.embedding)
    },
    async responses() {
        return (await client.responses.create({ model: 'llama-3.1-8b', input: 'x' })).output_text
    },
    async responses_stream() {
        return gather(await client.responses.create({ model: 'llama-3.1-8b', input: 'x', stream: true }), (part) => part.delta)
    },
    async unknown_model() {
        return failure(chat('no-such-model'))
    },
    async unknown_model_stream() {
        return failure(chat('no-such-model', { stream: true }))
    },
    async refused_by_the_worker() {
        return failure(chat('llama-3.1-8b', { max_tokens: 0 }))
    },
    async without_a_model() {
        return failure(chat(undefined))
    },
    async failing_worker() {
        return failure(chat('broken'))
    },
    async lost() {
        return failure(chat('lost', {}, { maxRetries: 2 }))
    },
    async cut_off() {
        return failure(chat('cut', { stream: true }).then((stream) => gather(stream, (part) => part.choices[0]?.delta?.content)))
    },
    async abort() {
        const controller = new AbortController()
        const pieces = []
        const stream = await chat('endless', { stream: true }, { signal: controller.signal })
        for await (const part of stream) {
            pieces.push(part.choices[0].delta.content)
            if (pieces.length === 3) controller.abort()
        }
        return { pieces }
    },
    async leave() {
        const stream = await chat('endless', { stream: true })
        for await (const part of stream) if (part) break
        return true
    },
    async patience() {
        return failure(chat('endless', {}, { timeout: 200 }))
    },
}

const results = {}
for (const [name, step] of Object.entries(steps)) {
    try {
        results[name] = await step()
    } catch (error) {
        results[name] = { thrown: String(error.stack) }
    }
}
console.log(JSON.stringify(results))
