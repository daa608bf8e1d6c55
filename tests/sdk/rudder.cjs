const loaded = require('module').createRequire(process.env.SDKS)('@rudderstack/rudder-sdk-node');
const RudderAnalytics = loaded.default || loaded;
const { COLLECTOR, WRITE_KEY, WHO } = process.env;
const client = new RudderAnalytics(WRITE_KEY, { dataPlaneUrl: COLLECTOR, flushAt: 20, gzip: true });
const fail = (error) => { if (error) { console.error(error); process.exit(1); } };
client.identify({ userId: WHO, traits: { email: `${WHO}@example.cn` } });
client.track({ userId: WHO, event: 'Product Added', properties: { product_id: 'p1', price: 5 } });
client.flush(fail).then(() => process.exit(0), fail);
