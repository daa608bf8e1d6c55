// The SDK of mini-programs with a stand-in for what WeChat gives it; requests go out for real.
const { COLLECTOR, WRITE_KEY, WHO, SDKS } = process.env;
const kept = new Map();
const nothing = () => {};
const system = { brand: 'HUAWEI', model: 'P60', system: 'HarmonyOS 4', platform: 'android', screenWidth: 400,
  screenHeight: 800, windowWidth: 400, windowHeight: 800, language: 'zh_CN', SDKVersion: '3.0.0', version: '8.0' };
const known = {
  getStorageSync: (key) => kept.get(key) ?? '',
  setStorageSync: (key, value) => kept.set(key, value),
  getStorage: ({ key, success, fail, complete = nothing }) => {
    const answer = kept.has(key) ? { data: kept.get(key) } : { errMsg: 'data not found' };
    (kept.has(key) ? success : fail || nothing)(answer);
    complete(answer);
  },
  setStorage: ({ key, data, success = nothing }) => { kept.set(key, data); success(); },
  removeStorage: ({ key }) => kept.delete(key),
  getSystemInfo: ({ success, complete = nothing }) => { success(system); complete(); },
  getSystemInfoSync: () => system, getDeviceInfo: () => system, getWindowInfo: () => system, getAppBaseInfo: () => system,
  getNetworkType: ({ success, complete = nothing }) => { success({ networkType: 'wifi' }); complete(); },
  getAccountInfoSync: () => ({ miniProgram: { appId: 'wx123', envVersion: 'release', version: '1.0' } }),
  getLaunchOptionsSync: () => ({ path: 'pages/index', query: {}, scene: 1001 }),
  request: ({ url, method = 'GET', data, header = {}, success = nothing, fail = nothing, complete = nothing }) => {
    fetch(url, { method, body: method === 'POST' ? data : undefined, headers: { 'content-type': 'text/plain', ...header } })
      .then((answer) => { console.log(method, answer.status); success({ statusCode: answer.status }); complete(); },
        (error) => { console.error(error); fail(error); complete(); });
    return { abort: nothing };
  },
};
global.wx = new Proxy(known, { get: (target, name) => target[name] ?? nothing });
global.App = nothing; global.Page = nothing; global.Component = nothing; global.getCurrentPages = () => [{ route: 'pages/index' }];
global.getApp = () => ({});
const sensors = require('module').createRequire(SDKS)('sa-sdk-miniprogram/dist/wechat/sensorsdata.cjs.js');
sensors.setPara({ name: 'sensors', server_url: `${COLLECTOR}/sa?project=${WRITE_KEY}`, batch_send: process.env.BATCH === '1',
  autoTrack: { appLaunch: false, appShow: false, appHide: false, pageShow: false, pageShare: false, mpClick: false } });
sensors.init();
sensors.login(WHO);
sensors.track('PayOrder', { order_amount: 42 });
setInterval(nothing, 1000); // until it is ended
