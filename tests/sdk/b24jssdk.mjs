// usage: node - WEBHOOK METHOD... <b24jssdk.mjs   What the library makes of each call, and of a batch of all, as JSON.
import { AjaxError, B24Hook } from '@bitrix24/b24jssdk'

const [webhook, ...methods] = process.argv.slice(2)
const portal = B24Hook.fromWebhookUrl(webhook)
const params = { scope: 'C' }
const calls = {}
const batch = {}
for (const method of methods) {
  try {
    const answer = await portal.actions.v2.call.make({ method, params })
    calls[method] = { result: answer.getData().result }
  } catch (error) {
    if (!(error instanceof AjaxError)) throw error
    calls[method] = { status: error.status, code: error.code, says: error.message }
  }
}
const answer = await portal.actions.v2.batch.make({
  calls: Object.fromEntries(methods.map((method) => [method, { method, params }])),
  options: { isHaltOnError: false, returnAjaxResult: true },
})
for (const [method, told] of Object.entries(answer.getData())) {
  const [error] = told.getErrors()
  batch[method] = told.isSuccess ? { result: told.getData().result } : { code: error.code, says: error.message }
}
console.log(JSON.stringify({ calls, batch }))
portal.destroy()
