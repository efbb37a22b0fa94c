// The answers of the test in place of https://api.embedreach.com, for the calls
// that Reach's ViewAutomationModal makes on its first screen.

const mail = `<!doctype html>
<div style="font:16px/1.6 system-ui,sans-serif;color:#1f1b2d;max-width:32rem;margin:1.5rem auto;padding:0 1rem">
<h1 style="font-size:1.4rem">Hello {{first name}}!</h1>
<p>Thank you for bringing {{dog's name}} to Acme Pets. The first grooming is on us:
show this mail at the counter before the end of the month.</p>
<p style="color:#6b6680">Your friends at Acme Pets</p></div>`

const answers = {
  '/api/automations/welcome': {
    id: 'welcome', name: 'Welcome, new puppy', status: 'active', automationType: 'custom',
    description: 'Goes out the day after a first visit.', createdAt: '2026-09-14T09:30:00.000Z',
    updatedAt: '2026-11-02T16:05:00.000Z', derivedRevenue: 18420, triggerType: 'trigger_based',
    triggerMetadata: { triggerType: 'trigger_based' }, includeSegmentIds: [], excludeSegmentIds: [],
    actionData: [{ actionType: 'send_communication', actionMetadata: { communicationGroupId: 'group-1' } }],
  },
  '/api/communication-groups/group-1': {
    id: 'group-1', emailChannelSenderId: 'sender-1', emailSubject: 'A warm welcome to your new puppy',
    emailPreviewText: 'The first grooming is on us', emailHtmlBody: mail, smsChannelSenderId: null,
    smsMessageBody: null, extraMergeFields: null,
  },
  '/api/channel/senders': {
    results: [{
      id: 'sender-1', channelSenderType: 'email',
      channelSenderMetadata: { baseDomain: 'acme.example', emailFromName: 'Acme Pets', userPart: 'hello' },
    }],
  },
  '/api/automations/welcome/recipients': {
    recipients: [
      { reachId: '1', firstName: 'Ada', lastName: 'Ruff', email: 'ada@example.org', phone: null },
      { reachId: '2', firstName: 'Ben', lastName: 'Purr', email: 'ben@example.org', phone: null },
    ],
  },
  '/api/automations/welcome/statistics': {
    email: {
      numberSent: 1248, openPercentage: 0.4271, softBounceRate: 0.0042, hardBounceRate: 0.0017,
      linksClicked: 376, spamComplaintRate: 0.0003, unsubscribedRate: 0.0061,
    },
    sms: { numberSent: 0 },
  },
  '/api/segments/count': { count: 2, recipients: [] },
}

export function answerReach({ path }) {
  if (!(path in answers)) return { status: 404, json: { error: 'Not found' } }
  return { status: 200, json: { data: answers[path] } }
}
