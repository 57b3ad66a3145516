// What @NAME@ does with an event.

/** `event` is a CloudEvent; what is returned (or what the promise brings) is the answer, as JSON. */
export async function handler(event, context) {
  const { device = "somebody", value } = event.data;
  if (value === undefined) throw new TypeError("the event has no value");
  const message = `${device} says ${value}`;
  console.log(message);
  return { message };
}
