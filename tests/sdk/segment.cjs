const { Analytics } = require('module').createRequire(process.env.SDKS)('@segment/analytics-node');
const { COLLECTOR, WRITE_KEY, WHO } = process.env;
const analytics = new Analytics({ writeKey: WRITE_KEY, host: COLLECTOR, path: '/v1/batch' });
let failed = 0;
analytics.on('error', (error) => { failed += 1; console.error(error); });
analytics.identify({ userId: WHO, traits: { email: `${WHO}@example.cn` } });
analytics.track({ userId: WHO, event: 'Order Completed', properties: { revenue: 25.5, order_id: 'o1' } });
analytics.page({ userId: WHO, name: 'Start' });
analytics.closeAndFlush().then(() => process.exit(failed ? 1 : 0));
