const SensorsAnalytics = require('module').createRequire(process.env.SDKS)('sa-sdk-node');
const { COLLECTOR, WRITE_KEY, WHO } = process.env;
const sa = new SensorsAnalytics();
sa.submitTo({ url: `${COLLECTOR}/sa?project=${WRITE_KEY}`, gzip: true, mode: 'track', timeout: 10000 });
sa.track(WHO, 'PayOrder', { order_amount: 42 });
sa.track(WHO, '$pageview', { $url: 'https://s.example/p' });
sa.trackSignup(WHO, `${WHO}-anonymous`);
sa.profileSet(WHO, { level: 3 });
setInterval(() => {}, 1000); // until it is ended
