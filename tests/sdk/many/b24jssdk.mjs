// usage: node - WEBHOOK METHOD COUNT <b24jssdk.mjs   Makes so many calls, twenty at a time, without limits and retries of its own; JSON.
import { B24Hook, ParamsFactory } from '@bitrix24/b24jssdk'

const [webhook, method, count] = process.argv.slice(2)
const restrictionParams = ParamsFactory.getDefault()
restrictionParams.rateLimit = { ...restrictionParams.rateLimit, burstLimit: 10_000, drainRate: 10_000 }
restrictionParams.maxRetries = 1
const portal = B24Hook.fromWebhookUrl(webhook, { restrictionParams })
const call = async () => {
  try {
    const answer = await portal.actions.v2.call.make({ method, params: { scope: 'C' } })
    return answer.isSuccess ? 'done' : answer.getErrors()[0].code
  } catch (error) {
    return error.code ?? error.name
  }
}
const told = {}
let left = Number(count)
const worker = async () => {
  while (left-- > 0) {
    const outcome = await call()
    told[outcome] = (told[outcome] ?? 0) + 1
  }
}
await Promise.all(Array.from({ length: 20 }, worker))
console.log(JSON.stringify(told))
portal.destroy()
