/* A mix in the spirit of common embedded benchmarks, written for this project: a linked list that is searched, reversed
 * and merge-sorted; 16-bit matrices multiplied, shifted and summed; a state machine that classifies words of a text. */
#include "program.h"

#define NODES 200
#define N 16
#define TEXT 512

struct node {
  struct node *next;
  s16 key, value;
};

static struct node nodes[NODES];
static s16 a[N][N], b[N][N];
static s32 c[N][N];
static u8 text[TEXT];

static struct node *reverse(struct node *list)
{
  struct node *done = 0;
  while (list) {
    struct node *next = list->next;
    list->next = done;
    done = list;
    list = next;
  }
  return done;
}

static struct node *find(struct node *list, s16 key)
{
  while (list && list->key != key)
    list = list->next;
  return list;
}

/* Bottom-up merge sort by key, stable, as a list needs no storage for it. */
static struct node *merge_sort(struct node *list)
{
  for (u32 width = 1;; width *= 2) {
    struct node *rest = list, **tail = &list;
    u32 merges = 0;
    while (rest) {
      struct node *left = rest, *right = rest;
      u32 lefts = 0, rights = width;
      merges++;
      while (lefts < width && right) {
        lefts++;
        right = right->next;
      }
      while (lefts || (rights && right)) {
        if (lefts && (!rights || !right || left->key <= right->key)) {
          *tail = left;
          left = left->next;
          lefts--;
        } else {
          *tail = right;
          right = right->next;
          rights--;
        }
        tail = &(*tail)->next;
      }
      rest = right;
    }
    *tail = 0;
    if (merges <= 1)
      return list;
  }
}

static u32 lists(u32 round)
{
  u64 seed = round * 7 + 3;
  u32 sum = 0;
  for (u32 i = 0; i < NODES; i++) {
    nodes[i].key = random_next(&seed) & 0x3ff;
    nodes[i].value = i;
    nodes[i].next = i + 1 < NODES ? &nodes[i + 1] : 0;
  }
  struct node *list = &nodes[0];
  for (u32 i = 0; i < 16; i++) {
    struct node *found = find(list, random_next(&seed) & 0x3ff);
    if (found)
      sum = checksum_add(sum, found->value);
    list = reverse(list);
  }
  list = merge_sort(list);
  for (; list; list = list->next)
    sum = checksum_add(sum, ((u32)(u16)list->key << 16) | (u16)list->value);
  return sum;
}

static u32 matrices(u32 round)
{
  u32 sum = 0;
  for (u32 i = 0; i < N; i++) {
    for (u32 j = 0; j < N; j++) {
      a[i][j] = (s16)(i * j + round);
      b[i][j] = (s16)(i - j * 3 + round);
    }
  }
  for (u32 i = 0; i < N; i++) {
    for (u32 j = 0; j < N; j++) {
      s32 total = 0;
      for (u32 k = 0; k < N; k++)
        total += a[i][k] * b[k][j];
      c[i][j] = total;
    }
  }
  for (u32 i = 0; i < N; i++) {
    for (u32 j = 0; j < N; j++) {
      s32 value = c[i][j];
      s32 bits = ((value >> 2) & 15) * ((value >> 5) & 127);
      sum = bits > 300 ? sum + 10 : checksum_add(sum, bits);
    }
  }
  return sum;
}

enum state { START, SIGN, INTEGER, FRACTION, EXPONENT, WORD, BAD, STATES };

static enum state step(enum state state, u8 letter)
{
  int digit = letter >= '0' && letter <= '9';
  switch (state) {
  case START:
    if (digit)
      return INTEGER;
    if (letter == '+' || letter == '-')
      return SIGN;
    return letter >= 'a' && letter <= 'z' ? WORD : BAD;
  case SIGN:
    return digit ? INTEGER : BAD;
  case INTEGER:
    if (digit)
      return INTEGER;
    return letter == '.' ? FRACTION : letter == 'e' ? EXPONENT : BAD;
  case FRACTION:
    return digit ? FRACTION : letter == 'e' ? EXPONENT : BAD;
  case EXPONENT:
    return digit ? EXPONENT : BAD;
  case WORD:
    return letter >= 'a' && letter <= 'z' ? WORD : BAD;
  default:
    return BAD;
  }
}

static u32 states(u32 round)
{
  static const u8 letters[32] = "0123456789.e+-,abc0123456789,,e,";
  u32 counts[STATES] = { 0 }, sum = 0;
  u64 seed = round + 11;
  for (u32 i = 0; i < TEXT; i++)
    text[i] = letters[random_next(&seed) & 31];
  enum state state = START;
  for (u32 i = 0; i < TEXT; i++) {
    if (text[i] == ',') {
      counts[state]++;
      state = START;
    } else {
      state = step(state, text[i]);
    }
  }
  for (u32 i = 0; i < STATES; i++)
    sum = checksum_add(sum, counts[i]);
  return sum;
}

ENTRY u32 entry(u32 rounds)
{
  u32 sum = 0;
  for (u32 round = 0; round < rounds; round++) {
    sum = checksum_add(sum, lists(round));
    sum = checksum_add(sum, matrices(round));
    sum = checksum_add(sum, states(round));
  }
  return sum;
}
