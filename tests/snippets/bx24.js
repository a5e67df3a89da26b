// A small stand-in for BX24.js (https://api.bitrix24.com/api/v1/): the same call, sent as BX24.js sends it from a frame,
// without the frame's handshake. TOKEN is put in by the test.
const done = [];
const BX24 = {
  callMethod(method, params, callback) {
    const form = new URLSearchParams();
    const add = (name, value) => {
      if (value !== null && typeof value === 'object') {
        for (const [key, inner] of Object.entries(value)) add(name ? `${name}[${key}]` : key, inner);
      } else {
        form.append(name, value);
      }
    };
    add('', params);
    form.append('auth', TOKEN);
    const sent = fetch(`/rest/${method}.json`, { method: 'POST', body: form })
      .then((answer) => answer.json())
      .then((answer) => callback({
        error: () => answer.error ?? answer.error_description,
        data: () => answer.result,
      }));
    done.push(sent);
  },
};
